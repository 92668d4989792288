"""The tuner and the assessors that NNI loads: one suggests recipes, the others pause or stop trials.

A tuner or assessor of your own goes here: a class in a file, named in a YAML by
`className: tuners.FILE.Class` with `codeDirectory: ..`.
"""
