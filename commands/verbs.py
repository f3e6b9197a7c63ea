"""The list of verbs: what each does, where its settings and its code are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        module: Module with `run(config)`.
        config: Its YAML in `configs/`, without the ending. One in a folder belongs to that folder's own set of groups.
        summary: One line for the list of verbs.
        details: What a person should know before running it.
        example: An override that shows the syntax.
        resume: Said after Ctrl-C.
        starts: Modules of the verbs that it runs in processes of their own, with the same settings.
        words: Setting, a list, that words without a key are taken for; "" where there is none.
    """

    module: str
    config: str
    summary: str
    details: str
    example: str
    resume: str = "Nothing is lost; the same command goes on where it stopped."
    starts: tuple[str, ...] = ()
    words: str = ""

    @property
    def config_module(self) -> str:
        """Python package that its YAML and its groups are in."""
        return ".".join(["configs", *self.config.split("/")[:-1]])

    @property
    def config_name(self) -> str:
        """Name of its YAML there."""
        return self.config.split("/")[-1]


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "commands.demo.demo",
        "demo",
        "the whole path in the twin: data, pre-training, reward, fine-tuning, evaluation, report",
        "Runs every stage below, one after the other, and writes one HTML report. Stages that are already done in\n"
        "the run's folder are not done again, so an interrupted demo goes on where it stopped.",
        "task=bin_weight seed=1",
        starts=("commands.learner", "commands.actor"),
    ),
    "new-task": Verb(
        "commands.new_task",
        "new_task",
        "write the YAML of a task of your own, with or without a scene to rehearse it in the twin",
        "Writes task/NAME.yaml into the working folder, where every verb that is started there finds it as task=NAME;\n"
        "from elsewhere with --config-dir=FOLDER. Every choice is in it, with a comment. Nothing is overwritten.",
        "sponge_to_bowl scene=true",
        "Nothing was written; run it again.",
        words="names",
    ),
    "collect": Verb(
        "commands.collect.collect",
        "collect",
        "record prior data, demonstrations, failures and play into the trajectory store",
        "In the twin a scripted expert acts and the physics predicate marks success, as a person would on the arm.",
        "task=bin_weight collect.demos=20",
    ),
    "teleop": Verb(
        "commands.teleop",
        "teleop",
        "record demonstrations and failures by teleoperation: SpaceMouse, gamepad, keyboard or leader arm",
        "Shows an instruction, records what a person does, and stores it with the person's mark where `collect`\n"
        "stores its own. Both directions in turn. Draw back from the object before you mark a success. The keys are\n"
        "listed at the start; `regrasp watch` with the same run_dir shows the cameras.",
        "device=gamepad robot=twin episodes=50",
        "What was recorded is in the store, an episode under way as unknown; the same command goes on.",
    ),
    "pretrain": Verb(
        "commands.pretrain",
        "pretrain",
        "train what the policy sees through, and the multi-task policy, by any method",
        "Reads the store that `collect` filled and writes a policy folder. encoder=keypoints learns labels in\n"
        "hindsight, then stays as it is; with encoder=cnn, resnet or clip an image encoder learns them, too, and is\n"
        "trained by cloning, or by the critics (pretrain.freeze_encoder=false, and methods that don't clone first);\n"
        "with encoder.keypoints=true (clip's default) the policy has both.\n"
        "The verbs that come after take whatever is in the folder. pretrain.held_out=0.1 keeps a tenth of the\n"
        "episodes from training and measures on them; losses and figures go to TensorBoard files in metrics/.",
        "pretrain.steps=3000",
        "A checkpoint is kept every pretrain.checkpoint_every updates; the same command goes on, to the bit.",
    ),
    "pretrain env=ID": Verb(
        "commands.gym.pretrain",
        "gym/pretrain",
        "the same for any Gymnasium environment: from a D4RL, robomimic or Minari data set, by any method",
        "Reads dataset=FILE (HDF5 of D4RL or robomimic) or dataset=FOLDER (Minari), trains offline, evaluates.\n"
        "env=robosuite:TASK is one of robosuite's. Images are looked at through encoder=cnn, resnet or clip.\n"
        "A step before a time-out stays out, and is counted, where the file doesn't hold what it led to. Observations\n"
        "that are dictionaries come in the order of gymnasium.spaces.flatten; actions are rescaled to [-1, 1].",
        "env=PointMaze_UMaze-v3 dataset=umaze.hdf5 method=calql steps=50000",
        "A checkpoint is kept every checkpoint_every updates; the same command goes on, to the bit.",
    ),
    "train-reward": Verb(
        "commands.train_reward",
        "train_reward",
        "fine-tune, calibrate and threshold the vision-language success classifier",
        "Reads the store that `collect` filled, and fine-tuning's episodes that people spoke about (`review`, `say`),\n"
        "and writes the reward model's folder. reward=NAME chooses another kind of judge: docs/rewards.md.",
        "reward.false_positive_rate=0.01",
        "The judge before, if any, stays as it was; run it again: training starts from its beginning.",
    ),
    "label": Verb(
        "commands.label",
        "label",
        "have the reward model say of stored episodes whether they succeeded, into a file for `train-reward`",
        "For episodes that nobody marked, with a judge that is dear or slow, such as reward=generative_vlm; the store\n"
        "itself stays as it is.",
        "reward=generative_vlm reward.model=NAME store=imported/kitchen",
        "Labels so far are kept; the same command goes on.",
    ),
    "evaluate-reward": Verb(
        "commands.evaluate_reward",
        "evaluate_reward",
        "balanced accuracy, AUROC, false positives and calibration of the reward, on held-out scenes",
        "Renders scenes that training never saw, hard negatives included, and compares with the physics predicate.",
        "evaluate_reward.episodes=40",
    ),
    "finetune": Verb(
        "commands.finetune",
        "finetune",
        "improve the policy on the task by itself: starts a learner and an actor process",
        "The robot does the task and undoes it, the reward model judges, the learner trains. No resets but on help.",
        "task=pot_pick_place seed=1",
        "Every finished episode is kept; the same command resumes.",
        starts=("commands.learner", "commands.actor"),
    ),
    "finetune env=ID": Verb(
        "commands.gym.finetune",
        "gym/finetune",
        "the same for any Gymnasium environment: goes on online from `pretrain env=ID`, in one process",
        "Methods without pre-training (sac, redq, rlpd) begin here. The same seed gives the same numbers, interrupted\n"
        "or not.",
        "env=PointMaze_UMaze-v3 method=wsrl steps=20000",
        "A checkpoint is kept every checkpoint_every steps; the same command goes on, to the bit.",
    ),
    "learner": Verb(
        "commands.learner",
        "learner",
        "the learner process alone (on the GPU machine)",
        "Waits for actors on link.address, stores their episodes and trains. Start an actor with the same settings.",
        "link.address=0.0.0.0:50051",
        "A checkpoint is saved; the same command resumes.",
    ),
    "actor": Verb(
        "commands.actor",
        "actor",
        "the robot-side process alone (on the computer beside the arm)",
        "Runs reset-free episodes and sends them to the learner at link.address.",
        "link.address=learner.local:50051",
        "Unsent episodes wait in the outbox; the same command resumes.",
    ),
    "evaluate": Verb(
        "commands.evaluate.evaluate",
        "evaluate",
        "success rates of a policy in the twin, with intervals, JSON and videos",
        "Both directions, stochastic and deterministic actions, the same starts for every policy. Success is the\n"
        "physics predicate, which the policy and the learner never see. With evaluate.tasks or evaluate.axes it is a\n"
        "matrix of tasks and changes, each beside a control on the same seeds, also of a policy behind an address:\n"
        "docs/matrix.md.",
        "checkpoint=pretrained evaluate.episodes=100",
    ),
    "serve-policy": Verb(
        "commands.serve_policy",
        "serve_policy",
        "a trained policy behind an address, for `regrasp evaluate checkpoint=grpc://HOST:PORT`",
        "Each client has episodes of its own. In clear on loopback; from other machines with certificates on both\n"
        "ends (link.certificate, link.key, link.authority). A policy of another project is served by a script like\n"
        "examples/policy_server.py: docs/matrix.md.",
        "checkpoint=pretrained serve.address=127.0.0.1:50061",
        "Whoever asked it stops, and goes on once it is served again.",
    ),
    "evaluate env=ID": Verb(
        "commands.gym.evaluate",
        "gym/evaluate",
        "return and success of a policy that `pretrain env=ID` or `finetune env=ID` trained",
        "Loads the run's checkpoint, meets the same starts as every evaluation with this seed, and writes the figures\n"
        "with their conditions into the run's folder.",
        "env=robosuite:Lift method=bc evaluate.episodes=100",
        "It only adds a file: run it again.",
    ),
    "report": Verb(
        "commands.report.report",
        "report",
        "the HTML report of a fine-tuning, on any robot: success over time, resets, holds and faults, evaluations",
        "Reads what `regrasp finetune` left in the run's folder, and the evaluations where there are some; may be run\n"
        "while it goes on. Writes report.html, or report_ROBOT.html where the robot is not the twin.",
        "robot=widowx task=my_task",
        "It only reads the run: run it again.",
    ),
    "compare": Verb(
        "commands.report.compare",
        "compare",
        "methods and seeds of one task side by side: tables, chart, intervals over seeds",
        "Reads fine-tuning's own episodes and the evaluations in every run folder, on any robot; runs that were not\n"
        "evaluated are compared by the judge's word in training. Only reads the runs.",
        "task=bin_weight",
        "It only reads the runs: run it again.",
    ),
    "inspect": Verb(
        "commands.inspect",
        "inspect",
        "what a trajectory store holds: counts, outcomes, contact sheet, a video of one episode",
        "Only reads.",
        "store=runs/pot_pick_place/seed0/data",
        "It only reads: run it again.",
    ),
    "import": Verb(
        "commands.importing.importing",
        "import",
        "episodes of other projects into a trajectory store: LeRobot, BridgeData, robomimic, diffusion_policy, Minari",
        "doors=NAME says what the source's keys mean, and how it writes actions; dry_run=true shows first what would\n"
        "come of it. What isn't said is refused with the key to set. The same import again adds nothing; a damaged\n"
        "episode is named and left out, and the status is then 1.",
        "source=[data/bridge] doors=bridge into=data/bridge_store dry_run=true",
        "What was imported is in the store; the same command goes on.",
        words="source",
    ),
    "export": Verb(
        "commands.exporting.exporting",
        "export",
        "episodes of a trajectory store into files that other projects read, or a store into a bucket",
        "The folder or file appears under its name when it is whole. docs/doors.md says what each format holds.\n"
        "to=s3://BUCKET/PREFIX gets a copy of the store, whole episode by whole episode: docs/buckets.md.",
        "store=runs/pot_pick_place/seed0/data to=pot format=lerobot_v3",
        "Files of an interrupted export are deleted, what arrived whole in a bucket stays; run it again.",
    ),
    "watch": Verb(
        "commands.watch.watch",
        "watch",
        "a running session as a web page: cameras, joints, servos, safety state, and what it asks of you",
        "Finds the session of run_dir on this computer, waits for one and follows its restarts. The page shows a\n"
        "session and passes on the words of `regrasp say`, for those who have its whole address, token included. From\n"
        "another machine, tunnel it: ssh -L 8080:127.0.0.1:8080 ROBOT_COMPUTER, then open the printed address there.",
        "watch.port=8081",
        "The session goes on; run it again to look again.",
    ),
    "say": Verb(
        "commands.watch.say",
        "say",
        "a word to a running session: clear (a fault), ready (the scene is arranged), hold, stop, done, not_done",
        "clear: you looked at the arm and take responsibility for going on; needs your name.\n"
        "ready: the scene is as the session asked.  hold: stop the arm at once.  stop: end after this episode.\n"
        "done, not_done: the episode under way, or the last one, was done or not, whatever the judge said; needs your\n"
        "name, is kept, and what is learned follows it.  take_back: not so.  by_keys=true: one key a word.",
        "word=clear by=Anna fault=kdqx3",
        "Ask `regrasp watch once=true` whether the session heard you.",
    ),
    "review": Verb(
        "commands.review.review",
        "review",
        "judged episodes of a run as a web page: two keys agree with the judge or overturn it",
        "The doubtful and the surprising ones come first. What you say is kept beside each episode with your name; a\n"
        "learner that runs on this machine relabels what it learns from, and `train-reward` learns from it, too.",
        "task=pot_pick_place seed=0",
        "What was said is kept; the same command goes on.",
    ),
    "certificates": Verb(
        "commands.certificates",
        "certificates",
        "certificates for a learner on another machine and for `regrasp watch` off loopback",
        "First without settings: the laboratory's authority, in folder=. Then once for every machine, with machine=\n"
        "and the names under which others reach it: a folder with certificate.pem, key.pem and authority.pem, which\n"
        "goes to that machine. Keys are for this account only, and nothing is ever overwritten; docs/security.md.",
        "machine=gpu names=[gpu.lab.example,192.168.1.20]",
        "Files are written whole or not at all; run it again.",
    ),
    "calibrate": Verb(
        "commands.calibrate",
        "calibrate",
        "offsets of the arm's joints and places of its cameras, by a printed board, into a dated file",
        "First `board=calibration_board.pdf`: print it, and see docs/calibration.md. With robot=twin the whole\n"
        "measurement is rehearsed on a rendered board, with the truth beside the result.",
        "robot=widowx calibrate.what=joints calibrate.person=Anna",
        "Nothing was written; run it again.",
    ),
    "virtual-arm": Verb(
        "commands.virtual_arm",
        "virtual_arm",
        "an arm with its table and cameras that isn't there: connect drivers to it as to the real one",
        "Nine servos on a pseudo-terminal, the twin's physics in real time behind them, cameras fed by its renderer.\n"
        "It prints the port and the line that attaches another verb to it, and runs until Ctrl-C.",
        "task=bin_weight robot.wire=true",
        "The virtual arm is gone; the same command starts a new one.",
    ),
    "fetch-weights": Verb(
        "commands.fetch_weights",
        "fetch_weights",
        "the weights of the judge's vision-language model onto this machine, from the hub or from a file",
        "Says where they come from, under which licence, how large they are and their sha256. reward.backbone and\n"
        "reward.pretrained name them. from=FILE takes a safetensors file that another machine fetched.",
        "reward.backbone=ViT-B-16-SigLIP2-256 reward.pretrained=webli",
        "A download goes on where it stopped; run it again.",
    ),
    "doctor": Verb(
        "commands.doctor.doctor",
        "doctor",
        "is everything there, permitted and well? computer, port, servos, cameras, teleoperation devices",
        "A line for every check, and what to do unless it is ok; status 1 when one FAILs. robot=twin checks the\n"
        "computer alone. It only looks: nothing moves, no torque is switched, nothing is written to the servos.",
        "robot=widowx robot.port=FT4THVDH",
        "It only looks: run it again.",
    ),
    "bench algorithms": Verb(
        "commands.bench.algorithms",
        "gym/bench_algorithms",
        "compare methods: environment x method x seed, one after the other, curves with bands and a table",
        "Every list with commas is swept by Hydra's multirun. Finished cells are skipped, an interrupted one goes on;\n"
        "results in out/ are written after each. Bench tasks record their own data set first.",
        "env=maze,puck method=wsrl,rlpd seed=0,1,2",
        "Finished cells are kept and the one under way goes on from its checkpoint with the same command.",
    ),
    "bench data": Verb(
        "commands.bench.data",
        "gym/bench_data",
        "record a bench task's data set: a mediocre demonstrator, D4RL-style HDF5",
        "maze and umaze: a walker that is unsteady and often lost. puck and pot: the twin's scripted expert,\n"
        "unsteady, and some of the time with a deliberate failure.",
        "env=pot episodes=100",
        "Nothing was written; run it again.",
    ),
    "train-backbone": Verb(
        "commands.train_backbone",
        "train_backbone",
        "train the small embedded vision-language backbone on the twin's renders and captions",
        "For developers: the result is shipped in rewards/assets, nobody needs to run this to use Regrasp.",
        "train_backbone.minutes=20",
        "The last checkpoint is kept; the same command starts again from it.",
    ),
}

ELSEWHERE = " env=ID"
"""End of the name of a verb that is typed without it, with an environment among its settings."""


def verb_word(name: str) -> str:
    """What is typed for a verb before its settings: "pretrain" for "pretrain env=ID"."""
    return name.removesuffix(ELSEWHERE)
