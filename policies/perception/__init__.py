"""What a policy sees of an observation: the frozen keypoints, or an image encoder that cloning or the critics train.

`protocol.Perception` is what everybody else knows; `keypoint_perception` and `image_perception` are the two kinds,
`making` makes them in pre-training, `loading.load_perception` reads whichever a policy folder holds.
"""
