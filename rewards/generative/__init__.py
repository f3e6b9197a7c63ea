"""A generative vision-language model at an OpenAI-compatible address, asked at the end of an episode.

It is never asked within the control loop; what it costs and how long it takes is noted for every question.
"""
