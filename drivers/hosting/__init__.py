"""Any arm in a process of its own, which outlives its session and hands the arm to the next one."""
