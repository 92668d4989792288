#!/bin/sh
# pandas 3.1.1, pyarrow 26.0.1: what Series.map and apply give for a column of texts depends on whether a row is left.
# Of some texts, map(len) is a column of integers, map(type) one of objects; of none (a filter that nothing passed)
# both are columns of texts, as the column was. So the sum of the lengths is '' instead of 0, their mean raises
# TypeError, the maximum is nan, and where pyarrow is installed map(type).eq(bool) raises NotImplementedError. Columns
# of dtype object, which texts had before pandas 3, give 0 and an empty column of booleans. Code that was tested on
# tables with rows fails on the day that a filter is empty; Series.str.len() has the right type for both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'CODE'
import pandas as pd

print("pandas", pd.__version__)
texts = pd.Series(["cat", "horse"])
none = texts[texts == "cow"]
was = none.astype(object)


def tried(what):
    try:
        return repr(what())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


found = {}
for name, column in (("two texts", texts), ("no text", none), ("no object", was)):
    lengths = column.map(len)
    found[name] = (
        str(lengths.dtype), repr(lengths.sum()), tried(lambda: lengths.mean()), tried(lambda: column.map(type).eq(bool).any()),
    )  # fmt: skip
    print(f"{name:10} map(len): {found[name][0]}, sum {found[name][1]}, mean {found[name][2]}")
    print(f"{'':10} map(type).eq(bool).any(): {found[name][3]}; str.len().sum(): {column.astype('str').str.len().sum()}")
assert found["two texts"][:2] == ("int64", "np.int64(8)"), found["two texts"]
assert found["no text"][:2] == ("str", "''") and found["no text"][2].startswith("TypeError"), found["no text"]
assert found["no text"][3] == "NotImplementedError: eq not implemented for <class 'type'>", found["no text"]
assert found["no object"][0] == "object" and found["no object"][3] == "np.False_", found["no object"]
CODE
