"""Settings of small policies of the disc world."""

from helpers.blob_world import GOAL, instruction
from policies.agent.config import AgentConfig, NetworkConfig
from policies.perception.encoders.config import CnnConfig, EncoderConfig

SMALL = AgentConfig(networks=NetworkConfig(actor_hidden=(64, 64), critic_hidden=(32, 32), critics=2))
SMALL_CNN = EncoderConfig(CnnConfig((8, 8), (4, 2)), width=12, proprio_width=8, displacement=2)
RED_WORDINGS = {direction: [instruction("red", direction)] for direction in GOAL}
