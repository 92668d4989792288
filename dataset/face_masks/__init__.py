"""The home task: face photos in 18 classes, mask status x gender x age band. Only this folder knows them."""
