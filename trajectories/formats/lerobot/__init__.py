"""LeRobotDataset v3.0, v2.1 and v2.0: Parquet tables with videos or image columns beside them."""
