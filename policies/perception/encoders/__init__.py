"""Image encoders: camera frames, proprioception and the instruction to the features that actor and critics see.

`encoder.Encoder` is the network, `config.EncoderConfig` its settings, `frames` what replay keeps of a frame and how a
batch is encoded once for critic and actor, `augmentation` random shifts and crops, `description` an encoder as JSON
and tensors.
"""
