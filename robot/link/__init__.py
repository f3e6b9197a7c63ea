"""The link: what a learner offers (`robot.interfaces.LearnerEndpoint`) to other processes, over gRPC.

Server and client speak raw bytes (no generated code): JSON for questions and answers, a JSON header with
safetensors and a SHA-256 digest for episodes and weights.
"""
