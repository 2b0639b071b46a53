/*
 * The records of Thermos checkpoint streams.
 *
 * Ids below 100 are those of the original and must never change or be reused, retired ones
 * included. Ids from 100 up are additions; older readers skip them. Every field may be missing.
 */

namespace rs thermos

/** State of one run of a process. */
enum ProcessState {
  /** Planned, not started. */
  WAITING = 0,
  /** Its coordinator runs. */
  FORKED  = 1,
  /** The process itself runs. */
  RUNNING = 2,
  /** Exited with 0. Terminal. */
  SUCCESS = 3,
  /** Ended by a signal. Terminal. */
  KILLED  = 4,
  /** Exited with another code, or could not be launched. Terminal. */
  FAILED  = 5,
  /** Its end was not seen. Terminal. */
  LOST    = 6,
}

/** State of a task. */
enum TaskState {
  /** Its processes run. */
  ACTIVE     = 0,
  /** Terminal. */
  SUCCESS    = 1,
  /** Terminal. */
  FAILED     = 2,
  /** Terminal. */
  KILLED     = 3,
  /** Terminal. */
  LOST       = 4,
  /** Regular processes are being ended. */
  CLEANING   = 5,
  /** Final processes run. */
  FINALIZING = 6,
}

/**
 * A step of one run of a process. A record holds `seq`, `process`, `state` and the fields of its own
 * step; readers fold the records of a run into one.
 */
struct ProcessStatus {
  /** Number of the record among those of this process, from 0, over all runs. */
  1: i64 seq,
  /** Name of the process. */
  3: string process,
  /** The state entered. */
  5: ProcessState state,
  /** With `FORKED`: pid of the coordinator. */
  10: i32 coordinator_pid,
  /** With `FORKED`: when, in seconds since the epoch. */
  11: double fork_time,
  /** With `RUNNING`: when, in seconds since the epoch. */
  6: double start_time,
  /** With `RUNNING`: pid of the process. */
  7: i32 pid,
  /** With `SUCCESS`, `KILLED` and `FAILED`: when, in seconds since the epoch. */
  8: double stop_time,
  /** With `SUCCESS`, `KILLED` and `FAILED`: exit code, or the signal number negated. */
  9: i32 return_code,
  /**
   * With `FORKED`: when the coordinator started by the kernel's account, in clock ticks since boot.
   * Together with the pid it names one process for good.
   */
  100: i64 coordinator_start_ticks,
  /** With `RUNNING`: the same of the process. */
  101: i64 start_ticks,
  /** Why a launch failed or a run was lost, for people. */
  102: string reason,
}

/** A state the task entered. */
struct TaskStatus {
  /** The state entered. */
  1: TaskState state,
  /** When, in milliseconds since the epoch. */
  2: i64 timestamp_ms,
  /** Pid of the runner that wrote the record. */
  3: i32 runner_pid,
  /** Real uid of the runner that wrote the record. */
  4: i32 runner_uid,
  /** The kernel's random id of the boot during which the record was written. */
  100: string boot_id,
  /** When that runner started by the kernel's account, in clock ticks since boot. */
  101: i64 runner_start_ticks,
  /** The terminal state that somebody asked for, if the task does not end by itself. */
  102: TaskState goal,
  /** When the time for getting there is over, in milliseconds since the epoch. */
  103: i64 deadline_ms,
}

/** What does not change over the life of a task. At most one record of a stream. */
struct RunnerHeader {
  /** Id of the task. */
  1: string task_id,
  /** When the task was launched, in milliseconds since the epoch. */
  2: i64 launch_time_ms,
  /** Sandbox of the task, a path on the host. */
  3: string sandbox,
  /** Where process logs are, a path on the host. Old streams lack it. */
  7: string log_dir,
  /** Name of the host. */
  4: string hostname,
  /** User whom the processes run as. */
  5: string user,
  /** Uid of that user. Old streams lack it. */
  8: i32 uid,
  /** Port numbers by name. */
  6: map<string, i64> ports,
}

/**
 * How far an output of a run has been copied. Written by the coordinator into its own stream: when
 * bytes are dropped, at the end of the run, and at the end of the copying if that comes later. Counts
 * are bytes since the start of the run; what was received and not dropped is, in order, in the log
 * files, or was in one that has been rotated out.
 */
struct LogStatus {
  /** Name of the process. */
  1: string process,
  /** Number of the run, from 0: the name of its log directory. */
  2: i32 run,
  /** `stdout` or `stderr`. */
  3: string output,
  /** When, in seconds since the epoch. */
  4: double time,
  /** Read from the process. */
  5: i64 received,
  /** Of these, in no file. */
  6: i64 dropped,
  /** Why the last of these were dropped, for people. */
  7: string reason,
  /** Not written to the console. Absent if nothing goes there. */
  8: i64 console_dropped,
  /** Why the last of these were not written, for people. */
  9: string console_reason,
}

/** One record of a checkpoint stream. */
union RunnerCkpt {
  /** What does not change. */
  1: RunnerHeader runner_header,
  /** A step of a process. */
  2: ProcessStatus process_status,
  /** A step of the task. */
  3: TaskStatus task_status,
  /** How far an output has been copied. */
  100: LogStatus log_status,
}

/** What the records of a stream add up to. Never in a stream itself. */
struct RunnerState {
  /** The header. */
  1: RunnerHeader header,
  /** All states of the task; the last one is the present one. */
  2: list<TaskStatus> statuses,
  /** Per process, one folded status for each run. */
  3: map<string, list<ProcessStatus>> processes,
}
