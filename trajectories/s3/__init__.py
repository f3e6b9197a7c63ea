"""Trajectory stores in buckets that speak S3: addresses, the connection, copies of episodes on the disk, uploads.

Needs obstore, which is imported when something is asked of a bucket; the addresses alone need nothing.
"""
