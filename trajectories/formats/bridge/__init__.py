"""BridgeData V2's raw folders (rail-berkeley/bridge_data_robot, `raw_saver.py`).

`plain_pickle.py` is the codec for their pickled files, `folders.py` finds trajectories, `reader.py` and `writer.py` are
the two directions.
"""
