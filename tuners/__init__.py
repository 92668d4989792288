"""Tuner and assessor that NNI loads: one suggests the next recipe, the other stops hopeless trials.

A tuner or assessor of your own goes here: a class in a file, named in a YAML by
`className: tuners.FILE.Class` with `codeDirectory: ..`.
"""
