"""robosuite as a second world: its tasks as Gymnasium environments, and the WidowX in them behind `RobotEnv`.

Nothing outside imports a module of here at its top: what doesn't need robosuite starts without it, two seconds earlier.
Of robosuite's log, which advises on private macro files and missing extras whenever it can, errors are shown.
"""

import logging

logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)
