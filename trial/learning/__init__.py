"""What turns logits into updates: losses, optimizers, schedules, parameter groups."""
