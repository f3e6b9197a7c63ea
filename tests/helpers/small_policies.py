"""Settings of small policies of the disc world."""

from dataclasses import replace

import numpy as np

from helpers.blob_world import GOAL, instruction
from policies.agent.config import AgentConfig, NetworkConfig
from policies.perception.encoders.config import CnnConfig, EncoderConfig
from policies.perception.keypoint_perception import KeypointPerception

SMALL = AgentConfig(networks=NetworkConfig(actor_hidden=(64, 64), critic_hidden=(32, 32), critics=2))
SMALL_CNN = EncoderConfig(CnnConfig((8, 8), (4, 2)), width=12, proprio_width=8, displacement=2)
RED_WORDINGS = {direction: [instruction("red", direction)] for direction in GOAL}


def knowing(perception, texts):
    """The same keypoint perception, knowing further instructions: rows behind the present ones."""
    table = perception.text
    added = np.random.default_rng(7).normal(size=(len(texts), table.rows.shape[1])).astype(np.float32)
    text = replace(table, instructions=(*table.instructions, *texts), rows=np.concatenate([table.rows, added]))
    return KeypointPerception(perception.net, perception.scaling, text, perception.spec, perception.camera)
