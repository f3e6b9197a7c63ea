"""`regrasp pretrain env=ID` and `regrasp finetune env=ID`: training on any Gymnasium environment."""
