"""What convhub does with torch beyond taking its tensors; imports torch, and is imported only for it."""
