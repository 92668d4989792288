"""What NNI loads to choose the next recipe and to stop hopeless ones.

A tuner or assessor of your own goes here: a class in a file, named in a YAML by
`className: tuners.FILE.Class` with `codeDirectory: ..`.
"""
