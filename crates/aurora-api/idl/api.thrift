/*
 * What a scheduler and its clients say to each other, and the tasks that agents get.
 *
 * Names and ids are those of the original and must never change. An id that a struct or an argument
 * list skips was used once, or may have been: never use it again. Every field may be missing; fields
 * marked `optional` usually are. Readers skip fields that they do not know.
 *
 * Where it says "empty is as unset", both must be accepted and mean the same. Times are milliseconds
 * since the epoch unless their names say otherwise.
 */

namespace rs api

/** Name of the executor that runs Thermos tasks, as in `ExecutorConfig`. */
const string AURORA_EXECUTOR_NAME = "AuroraExecutor"

/** Where a task sees the filesystem of its image, relative to its sandbox. */
const string TASK_FILESYSTEM_MOUNT_POINT = "taskfs"

/** HTTP header that asks a scheduler to answer by itself though it does not lead. */
const string BYPASS_LEADER_REDIRECT_HEADER_NAME = "Bypass-Leader-Redirect"

/** What roles, environments, job names, users and tiers look like; 255 characters at most. */
const string GOOD_IDENTIFIER_PATTERN = "^[\\w\\-\\.]+$"

/** `GOOD_IDENTIFIER_PATTERN` in the syntax of Java. */
const string GOOD_IDENTIFIER_PATTERN_JVM = GOOD_IDENTIFIER_PATTERN

/** `GOOD_IDENTIFIER_PATTERN` in the syntax of Python. */
const string GOOD_IDENTIFIER_PATTERN_PYTHON = GOOD_IDENTIFIER_PATTERN

// ---------------------------------------------------------------------------------------- Identity

/** A person, by the name of a role account. */
struct Identity {
  /** The user name. */
  2: string user,
}

/** Names a job. All three parts are identifiers. */
struct JobKey {
  /** Unix account that the tasks run as; also the owner of quota. */
  1: string role,
  /** Such as `prod`, `devel`, `test` or `staging1`. */
  2: string environment,
  /** Name of the job, unique within role and environment. */
  3: string name,
}

/** Names one instance of a job. */
struct InstanceKey {
  /** The job. */
  1: JobKey jobKey,
  /** The instance, from 0. */
  2: i32 instanceId,
}

/** Names an update of a job. */
struct JobUpdateKey {
  /** The job. */
  1: JobKey job,
  /** Unique within the job; the scheduler makes it a random UUID. */
  2: string id,
}

/** What a lock is on. Locks are no more; this is for reading old logs only. */
union LockKey {
  /** A job. */
  1: JobKey job,
}

/** A lock. Locks are no more; this is for reading old logs only. */
struct Lock {
  /** What is locked. */
  1: LockKey key,
  /** Proof of holding it. */
  2: string token,
  /** Who holds it. */
  3: string user,
  /** When it was taken. */
  4: i64 timestampMs,
  /** Why, for people. */
  5: optional string message,
}

// ------------------------------------------------------------------------------------------- Hosts

/** What maintenance does to a host. */
enum MaintenanceMode {
  /** No maintenance: the host takes tasks. */
  NONE      = 1,
  /** Takes tasks only where there is no other place for them. */
  SCHEDULED = 2,
  /** Takes no tasks; those it runs are moved away. */
  DRAINING  = 3,
  /** Takes no tasks and runs none. */
  DRAINED   = 4,
}

/** One attribute of a host. */
struct Attribute {
  /** Its name. */
  1: string name,
  /** Its values, as text. */
  2: set<string> values,
}

/** What is known of a host. */
struct HostAttributes {
  /** Host name. */
  1: string host,
  /** Attributes that its agent announced. */
  2: set<Attribute> attributes,
  /** Its maintenance. */
  3: optional MaintenanceMode mode,
  /** Id of its Mesos agent. */
  4: optional string slaveId,
}

/** Several hosts. */
struct Hosts {
  /** Host names. */
  1: set<string> hostNames,
}

/** Maintenance of a host. */
struct HostStatus {
  /** Host name. */
  1: string host,
  /** Its maintenance. */
  2: MaintenanceMode mode,
}

// ------------------------------------------------------------------------------------- Constraints

/** Holds on hosts whose attribute has one of some values. */
struct ValueConstraint {
  /** Turns it around: holds on the other hosts. */
  1: bool negated,
  /** The values. */
  2: set<string> values,
}

/** Bounds how many instances of a job hosts may run that share a value of the attribute. */
struct LimitConstraint {
  /** The bound. */
  1: i32 limit,
}

/** What is asked of an attribute. */
union TaskConstraint {
  /** One of some values, or none of them. */
  1: ValueConstraint value,
  /** Not too many instances per value. */
  2: LimitConstraint limit,
}

/** Where a task may run. */
struct Constraint {
  /** Name of an attribute, such as `rack`, `host` or `dedicated`. */
  1: string name,
  /** What is asked of it. */
  2: TaskConstraint constraint,
}

// --------------------------------------------------------------------------------------- Resources

/** An amount of one resource, or a port. */
union Resource {
  /** CPU cores. */
  1: double numCpus,
  /** Memory in MB. */
  2: i64 ramMb,
  /** Disk space in MB. */
  3: i64 diskMb,
  /** A port; its number is chosen when the task is placed. */
  4: string namedPort,
  /** Whole GPUs. */
  5: i64 numGpus,
}

/** Resources in total: a quota, or what is used of one. */
struct ResourceAggregate {
  /** At most one of each kind. A quota has exactly CPU, memory and disk. */
  4: set<Resource> resources,
}

// --------------------------------------------------------------------------------------- Container

/** How a volume is mounted. */
enum Mode {
  /** Readable and writable. */
  RW = 1,
  /** Readable only. */
  RO = 2,
}

/** A directory of the host that a container sees. */
struct Volume {
  /** Where the container sees it. */
  1: string containerPath,
  /** Where it is on the host. */
  2: string hostPath,
  /** How it is mounted. */
  3: Mode mode,
}

/** A Docker image for the Mesos containerizer. */
struct DockerImage {
  /** Repository. */
  1: string name,
  /** Tag. */
  2: string tag,
}

/** An AppC image for the Mesos containerizer. */
struct AppcImage {
  /** Name. */
  1: string name,
  /** Its id: a hash. */
  2: string imageId,
}

/** An image that the Mesos containerizer provides as the task's filesystem. */
union Image {
  /** A Docker image. */
  1: DockerImage docker,
  /** An AppC image. */
  2: AppcImage appc,
}

/** Runs the task with the Mesos containerizer. */
struct MesosContainer {
  /** Filesystem of the task; that of the host if unset. */
  1: optional Image image,
  /** Directories that the task sees besides. */
  2: optional list<Volume> volumes,
}

/** An argument for the Docker client. */
struct DockerParameter {
  /** Option, without dashes. */
  1: string name,
  /** Its value. */
  2: string value,
}

/** Runs the task with Docker. */
struct DockerContainer {
  /** The image. */
  1: string image,
  /** More arguments. A name may occur more than once. */
  2: optional list<DockerParameter> parameters,
}

/** What the task is run with. */
union Container {
  /** The Mesos containerizer. */
  1: MesosContainer mesos,
  /** Docker. */
  2: DockerContainer docker,
}

// ------------------------------------------------------------------------------------------- Tasks

/** A version of a package. Nothing refers to it any more. */
struct Package {
  /** Who owns the package. */
  1: string role,
  /** Its name. */
  2: string name,
  /** The version. */
  3: i32 version,
}

/** A remark of the user. Keys may occur more than once. */
struct Metadata {
  /** The key. */
  1: string key,
  /** The value. */
  2: string value,
}

/** A file that Mesos fetches into the sandbox. */
struct MesosFetcherURI {
  /** Where it is. */
  1: string value,
  /** Unpack it if it is an archive. */
  2: optional bool extract,
  /** Keep it in the agent's cache. */
  3: optional bool cache,
  /** Its name in the sandbox; the last part of the URI if unset. */
  4: optional string outputFile,
}

/** What the executor is told. */
struct ExecutorConfig {
  /** Which executor: `AURORA_EXECUTOR_NAME`, or one of the scheduler's configuration. */
  1: string name,
  /** For the executor alone; the job as JSON if it is Thermos. Big: some calls leave it out. */
  2: string data,
}

/** What happens while an agent cannot be reached. */
struct PartitionPolicy {
  /** Whether a replacement is started. */
  1: bool reschedule,
  /** How long to wait before that, in seconds. */
  2: optional i64 delaySecs,
}

/** A share of the instances must run. */
struct PercentageSlaPolicy {
  /** The share, 0 to 100. */
  1: double percentage,
  /** How long an instance must have run to count, in seconds. */
  2: i64 durationSecs,
}

/** A number of the instances must run. */
struct CountSlaPolicy {
  /** The number. */
  1: i64 count,
  /** How long an instance must have run to count, in seconds. */
  2: i64 durationSecs,
}

/** Somebody else is asked whether an instance may go. */
struct CoordinatorSlaPolicy {
  /** Whom to ask, over HTTP. */
  1: string coordinatorUrl,
  /** Key of the answer in the JSON object that comes back. */
  2: string statusKey,
}

/** What must hold when the scheduler takes an instance down of its own accord. */
union SlaPolicy {
  /** A share of the instances runs. */
  1: PercentageSlaPolicy percentageSlaPolicy,
  /** A number of the instances runs. */
  2: CountSlaPolicy countSlaPolicy,
  /** A coordinator agrees. */
  3: CoordinatorSlaPolicy coordinatorSlaPolicy,
}

/** What to run, the same for all instances. Instances with equal values here run the same. */
struct TaskConfig {
  /** The job. */
  28: JobKey job,
  /** Who is responsible. */
  17: Identity owner,
  /** Runs for good: started again whatever its end. */
  7: bool isService,
  /** The higher, the sooner placed; may preempt tasks of its own role with a lower one. */
  11: i32 priority,
  /** Failures after which it is not started again; -1 is no limit. Services ignore it. */
  13: i32 maxTaskFailures,
  /** Whether the tier is neither preemptible nor revocable. Set by the scheduler from `tier`. */
  18: optional bool production,
  /** Name of a tier of the scheduler. */
  30: optional string tier,
  /** What it uses: CPU, memory and disk, perhaps GPUs, and any number of ports. */
  32: set<Resource> resources,
  /** Where it may run. */
  20: set<Constraint> constraints,
  /** Files to fetch before it starts. */
  33: optional set<MesosFetcherURI> mesosFetcherUris,
  /** Links to show, by name. `%host%`, `%port:NAME%` and the like are replaced. */
  22: optional map<string, string> taskLinks,
  /** Address of the people responsible. */
  23: optional string contactEmail,
  /** What the executor is told. Unset: Docker runs the image alone. */
  25: optional ExecutorConfig executorConfig,
  /** Remarks. */
  27: optional set<Metadata> metadata,
  /** What it is run with. */
  29: Container container = {"mesos": {}},
  /** What happens while its agent cannot be reached. */
  34: optional PartitionPolicy partitionPolicy,
  /** What must hold when the scheduler takes an instance down. */
  35: optional SlaPolicy slaPolicy,
}

/** State of a task. */
enum ScheduleStatus {
  /** Not stored yet. */
  INIT        = 11,
  /** Waits because it ended too often too soon. */
  THROTTLED   = 16,
  /** Waits for a place. */
  PENDING     = 0,
  /** Has a place; nothing was heard from there yet. */
  ASSIGNED    = 9,
  /** The executor prepares it. */
  STARTING    = 1,
  /** Runs. */
  RUNNING     = 2,
  /** Ended well. Terminal. */
  FINISHED    = 3,
  /** Being killed to make room for another task. */
  PREEMPTING  = 13,
  /** Being killed to be started again. */
  RESTARTING  = 12,
  /** Being killed because its host is under maintenance. */
  DRAINING    = 17,
  /** Ended badly. Terminal. */
  FAILED      = 4,
  /** Killed. Terminal. */
  KILLED      = 5,
  /** Being killed on request. */
  KILLING     = 6,
  /** Its end was not seen. Terminal. */
  LOST        = 7,
  /** Its agent cannot be reached. */
  PARTITIONED = 18,
}

/** States of a task that still counts as an instance of its job. */
const set<ScheduleStatus> ACTIVE_STATES = [
  ScheduleStatus.ASSIGNED, ScheduleStatus.DRAINING, ScheduleStatus.KILLING,
  ScheduleStatus.PENDING, ScheduleStatus.PREEMPTING, ScheduleStatus.RESTARTING,
  ScheduleStatus.RUNNING, ScheduleStatus.STARTING, ScheduleStatus.PARTITIONED,
  ScheduleStatus.THROTTLED,
]

/** States of a task that has a place. */
const set<ScheduleStatus> SLAVE_ASSIGNED_STATES = [
  ScheduleStatus.ASSIGNED, ScheduleStatus.DRAINING, ScheduleStatus.KILLING,
  ScheduleStatus.PREEMPTING, ScheduleStatus.RESTARTING, ScheduleStatus.RUNNING,
  ScheduleStatus.PARTITIONED, ScheduleStatus.STARTING,
]

/** States of a task whose processes may run. */
const set<ScheduleStatus> LIVE_STATES = [
  ScheduleStatus.KILLING, ScheduleStatus.PREEMPTING, ScheduleStatus.RESTARTING,
  ScheduleStatus.DRAINING, ScheduleStatus.PARTITIONED, ScheduleStatus.RUNNING,
]

/** States of a task that has ended. */
const set<ScheduleStatus> TERMINAL_STATES = [
  ScheduleStatus.FAILED, ScheduleStatus.FINISHED, ScheduleStatus.KILLED, ScheduleStatus.LOST,
]

/** A state that a task entered. */
struct TaskEvent {
  /** When. */
  1: i64 timestamp,
  /** The state. */
  2: ScheduleStatus status,
  /** Why, for people. */
  3: optional string message,
  /** Host name of the scheduler that saw it. */
  4: optional string scheduler,
}

/** One run of an instance. What an agent gets. */
struct AssignedTask {
  /** Unique for all time. Made of job key, instance and a UUID, but not to be taken apart. */
  1: string taskId,
  /** Id of its Mesos agent, once it has a place. */
  2: string slaveId,
  /** Host name of that agent. */
  3: string slaveHost,
  /** What runs. */
  4: TaskConfig task,
  /** Port numbers by name. */
  5: map<string, i32> assignedPorts,
  /** The instance, from 0. */
  6: i32 instanceId,
}

/** One run of an instance and what became of it. */
struct ScheduledTask {
  /** The run. */
  1: AssignedTask assignedTask,
  /** Its present state. */
  2: ScheduleStatus status,
  /** How often this instance has failed, earlier runs included. */
  3: i32 failureCount,
  /** The states it entered, oldest first. */
  4: list<TaskEvent> taskEvents,
  /** Id of the run that this one replaces. */
  5: string ancestorId,
  /** How often its agent could not be reached. */
  6: i32 timesPartitioned,
}

/**
 * Which tasks are meant. Those that match all that is given; any member of a set will do. Empty sets
 * restrict nothing.
 */
struct TaskQuery {
  /** Role of the job. */
  14: optional string role,
  /** Environment of the job. */
  9: optional string environment,
  /** Name of the job. */
  2: optional string jobName,
  /** Ids of tasks. */
  4: optional set<string> taskIds,
  /** States of the tasks. */
  5: optional set<ScheduleStatus> statuses,
  /** Instances. */
  7: optional set<i32> instanceIds,
  /** Hosts the tasks are on. */
  10: optional set<string> slaveHosts,
  /** Jobs. */
  11: optional set<JobKey> jobKeys,
  /** How many to pass over. 0 is as unset. */
  12: optional i32 offset,
  /** How many at most. 0 is as unset: no limit. */
  13: optional i32 limit,
}

/** Why a task has no place yet. */
struct PendingReason {
  /** The task. */
  1: string taskId,
  /** What the best place lacks, for people. May be empty. */
  2: string reason,
}

// -------------------------------------------------------------------------------------------- Jobs

/** What a cron job does when its last run has not ended. */
enum CronCollisionPolicy {
  /** Ends it and starts the new one. */
  KILL_EXISTING = 0,
  /** Lets it run and skips the new one. */
  CANCEL_NEW    = 1,
  /** Starts the new one besides. Refused. */
  RUN_OVERLAP   = 2,
}

/** A job as wanted. */
struct JobConfiguration {
  /** The job. */
  9: JobKey key,
  /** Who is responsible. */
  7: Identity owner,
  /** When to run it, in crontab syntax. Set, even if empty, for cron jobs only. */
  4: optional string cronSchedule,
  /** What happens when runs of a cron job meet. */
  5: CronCollisionPolicy cronCollisionPolicy,
  /** What its instances run. */
  6: TaskConfig taskConfig,
  /** How many instances. */
  8: i32 instanceCount,
}

/** How many tasks of a job are in which kind of state. */
struct JobStats {
  /** Have a place. */
  1: i32 activeTaskCount,
  /** Finished or killed. */
  2: i32 finishedTaskCount,
  /** Failed or lost. */
  3: i32 failedTaskCount,
  /** Have no place yet. */
  4: i32 pendingTaskCount,
}

/** A job and how it fares. */
struct JobSummary {
  /** The job; made up from one of its tasks unless it is a cron job. */
  1: JobConfiguration job,
  /** Its tasks, by state. */
  2: JobStats stats,
  /** When a cron job runs next. */
  3: optional i64 nextCronRunMs,
}

/** How many jobs a role has. */
struct RoleSummary {
  /** The role. */
  1: string role,
  /** Jobs with tasks. */
  2: i32 jobCount,
  /** Cron jobs. */
  3: i32 cronJobCount,
}

/** Consecutive instances. */
struct Range {
  /** The first one. */
  1: i32 first,
  /** The last one; it belongs to the range. */
  2: i32 last,
}

/** The instances that run one configuration. */
struct ConfigGroup {
  /** What they run. */
  1: TaskConfig config,
  /** Which they are. */
  3: set<Range> instances,
}

/** What the instances of a job run. */
struct ConfigSummary {
  /** The job. */
  1: JobKey key,
  /** Its instances by configuration. */
  2: set<ConfigGroup> groups,
}

// ----------------------------------------------------------------------------------------- Updates

/** State of a job update. */
enum JobUpdateStatus {
  /** Instances are being brought to the new configuration. */
  ROLLING_FORWARD             = 0,
  /** Instances are being brought back to the old configuration. */
  ROLLING_BACK                = 1,
  /** Interrupted while rolling forward. */
  ROLL_FORWARD_PAUSED         = 2,
  /** Interrupted while rolling back. */
  ROLL_BACK_PAUSED            = 3,
  /** Done. Terminal. */
  ROLLED_FORWARD              = 4,
  /** Failed and undone. Terminal. */
  ROLLED_BACK                 = 5,
  /** Ended on request, as it stood. Terminal. */
  ABORTED                     = 6,
  /** Ended by an error of the scheduler, as it stood. Terminal. */
  ERROR                       = 7,
  /** Failed and not undone, or not wholly. Terminal. */
  FAILED                      = 8,
  /** Waits for a pulse while rolling forward. */
  ROLL_FORWARD_AWAITING_PULSE = 9,
  /** Waits for a pulse while rolling back. */
  ROLL_BACK_AWAITING_PULSE    = 10,
}

/** States of an update that has not ended. A job has at most one such. */
const set<JobUpdateStatus> ACTIVE_JOB_UPDATE_STATES = [
  JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK,
  JobUpdateStatus.ROLL_FORWARD_PAUSED, JobUpdateStatus.ROLL_BACK_PAUSED,
  JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE, JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
]

/** States of an update that waits for a pulse. */
const set<JobUpdateStatus> AWAITING_PULSE_JOB_UPDATE_STATES = [
  JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE, JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
]

/** `AWAITING_PULSE_JOB_UPDATE_STATES`, by the name it has in the original. */
const set<JobUpdateStatus> AWAITNG_PULSE_JOB_UPDATE_STATES = AWAITING_PULSE_JOB_UPDATE_STATES

/** A step of an update for one instance. */
enum JobUpdateAction {
  /** Now runs the new configuration. */
  INSTANCE_UPDATED         = 1,
  /** Now runs the old configuration again. */
  INSTANCE_ROLLED_BACK     = 2,
  /** Is being brought to the new configuration. */
  INSTANCE_UPDATING        = 3,
  /** Is being brought back to the old configuration. */
  INSTANCE_ROLLING_BACK    = 4,
  /** Failed with the new configuration. */
  INSTANCE_UPDATE_FAILED   = 5,
  /** Failed with the old configuration. */
  INSTANCE_ROLLBACK_FAILED = 6,
}

/** What a pulse brought about. */
enum JobUpdatePulseStatus {
  /** The update goes on. */
  OK       = 1,
  /** There is nothing to keep going. */
  FINISHED = 2,
}

/** Keeps a number of instances in work: when one is done, the next begins. */
struct QueueJobUpdateStrategy {
  /** How many. */
  1: i32 groupSize,
}

/** Works on a batch of instances; when all are done, the next batch begins. */
struct BatchJobUpdateStrategy {
  /** Instances per batch. */
  1: i32 groupSize,
  /** Pauses after each batch. */
  2: bool autopauseAfterBatch,
}

/** Works on batches of different sizes. */
struct VariableBatchJobUpdateStrategy {
  /** Instances per batch, in order; the last one holds for all that follow. */
  1: list<i32> groupSizes,
  /** Pauses after each batch. */
  2: bool autopauseAfterBatch,
}

/** Which instances are worked on at the same time. */
union JobUpdateStrategy {
  /** A constant number of them. */
  1: QueueJobUpdateStrategy queueStrategy,
  /** Batches of one size. */
  2: BatchJobUpdateStrategy batchStrategy,
  /** Batches of different sizes. */
  3: VariableBatchJobUpdateStrategy varBatchStrategy,
}

/** How an update goes about it. */
struct JobUpdateSettings {
  /** Instances in work at the same time, unless `updateStrategy` is set. Deprecated. */
  1: i32 updateGroupSize,
  /** How many failures of one instance are put up with before it counts as failed. */
  2: i32 maxPerInstanceFailures,
  /** How many failed instances are put up with before the update fails. */
  3: i32 maxFailedInstances,
  /** How long an instance must run to count as updated. */
  5: i32 minWaitInInstanceRunningMs,
  /** Undoes an update that fails. */
  6: bool rollbackOnFailure,
  /** Leaves all other instances alone. Empty is as unset: all instances. */
  7: set<Range> updateOnlyTheseInstances,
  /** Batches instead of a queue, unless `updateStrategy` is set. Deprecated. */
  8: bool waitForBatchCompletion,
  /** Needs a pulse at least this often, else it waits for one. 0 is as unset: none needed. */
  9: optional i32 blockIfNoPulsesAfterMs,
  /** Takes instances down only as their SLA policies allow. */
  10: optional bool slaAware,
  /** Which instances are worked on at the same time. */
  11: optional JobUpdateStrategy updateStrategy,
}

/** A state that an update entered. */
struct JobUpdateEvent {
  /** The state. */
  1: JobUpdateStatus status,
  /** When. */
  2: i64 timestampMs,
  /** Who asked for it. */
  3: optional string user,
  /** Why, for people. */
  4: optional string message,
}

/** A step of an update for one instance. */
struct JobInstanceUpdateEvent {
  /** The instance. */
  1: i32 instanceId,
  /** When. */
  2: i64 timestampMs,
  /** The step. */
  3: JobUpdateAction action,
  /** Why, for people. */
  4: optional string message,
}

/** What some instances run. */
struct InstanceTaskConfig {
  /** What they run. */
  1: TaskConfig task,
  /** Which they are. */
  2: set<Range> instances,
}

/** Where an update stands. */
struct JobUpdateState {
  /** Its state. */
  1: JobUpdateStatus status,
  /** When it was started. */
  2: i64 createdTimestampMs,
  /** When something happened last. */
  3: i64 lastModifiedTimestampMs,
}

/** An update without its configurations. */
struct JobUpdateSummary {
  /** The update. */
  5: JobUpdateKey key,
  /** Who started it. */
  3: string user,
  /** Where it stands. Made from the events; not stored. */
  4: JobUpdateState state,
  /** Remarks of who started it. */
  6: optional set<Metadata> metadata,
}

/** What an update has to do. */
struct JobUpdateInstructions {
  /** What the instances run that will be replaced or removed. */
  1: set<InstanceTaskConfig> initialState,
  /** What instances will run. Unset if the update only removes some. */
  2: InstanceTaskConfig desiredState,
  /** How to go about it. */
  3: JobUpdateSettings settings,
}

/** An update. */
struct JobUpdate {
  /** What it is and where it stands. */
  1: JobUpdateSummary summary,
  /** What it has to do. */
  2: JobUpdateInstructions instructions,
}

/** An update and all that happened. */
struct JobUpdateDetails {
  /** The update. */
  1: JobUpdate update,
  /** What happened to it, oldest first. */
  2: list<JobUpdateEvent> updateEvents,
  /** What happened to its instances, oldest first. */
  3: list<JobInstanceUpdateEvent> instanceEvents,
}

/** Asks for an update. */
struct JobUpdateRequest {
  /** What instances shall run; names the job, too. */
  1: TaskConfig taskConfig,
  /** How many instances the job shall have. */
  2: i32 instanceCount,
  /** How to go about it. */
  3: JobUpdateSettings settings,
  /** Remarks. */
  4: optional set<Metadata> metadata,
}

/** Which updates are meant: those that match all that is given. Empty sets restrict nothing. */
struct JobUpdateQuery {
  /** Role of the job. */
  2: string role,
  /** The job. */
  3: JobKey jobKey,
  /** Who started them. */
  4: string user,
  /** Their states; any of them will do. */
  5: set<JobUpdateStatus> updateStatuses,
  /** How many to pass over. 0 is as unset. */
  6: i32 offset,
  /** How many at most. 0 is as unset: no limit. */
  7: i32 limit,
  /** One update. */
  8: JobUpdateKey key,
}

/** A host that is to be drained within bounds of its tasks' SLA. */
struct HostMaintenanceRequest {
  /** Host name. */
  1: string host,
  /** Holds for tasks without a policy of their own. */
  2: SlaPolicy defaultSlaPolicy,
  /** After which the host is drained whatever the policies say, in seconds. */
  3: i64 timeoutSecs,
  /** When it was asked for. */
  4: i64 createdTimestampMs,
}

// ----------------------------------------------------------------------------------------- Answers

/** What became of a request. */
enum ResponseCode {
  /** It cannot be done, by what it says or as things stand. */
  INVALID_REQUEST    = 0,
  /** It was done, or there was nothing to do. */
  OK                 = 1,
  /** The scheduler failed. */
  ERROR              = 2,
  /** It was done, but. Not used. */
  WARNING            = 3,
  /** The caller may not do this. */
  AUTH_FAILED        = 4,
  /** An update of the job is not over. */
  JOB_UPDATING_ERROR = 5,
  /** Not now; asking again may help. */
  ERROR_TRANSIENT    = 6,
}

/** Answers `populateJobConfig`. */
struct PopulateJobResult {
  /** The configuration, checked and with all defaults. */
  2: TaskConfig taskConfig,
}

/** Answers `getTasksStatus` and `getTasksWithoutConfigs`. */
struct ScheduleStatusResult {
  /** The tasks. */
  1: list<ScheduledTask> tasks,
}

/** Answers `getJobs`. */
struct GetJobsResult {
  /** The jobs. */
  1: set<JobConfiguration> configs,
}

/** Answers `getQuota`. */
struct GetQuotaResult {
  /** The quota. All zero if there is none. */
  1: ResourceAggregate quota,
  /** Used by production tasks on shared hosts; only this is bounded by the quota. */
  2: optional ResourceAggregate prodSharedConsumption,
  /** Used by other tasks on shared hosts. */
  3: optional ResourceAggregate nonProdSharedConsumption,
  /** Used by production tasks on dedicated hosts. */
  4: optional ResourceAggregate prodDedicatedConsumption,
  /** Used by other tasks on dedicated hosts. */
  5: optional ResourceAggregate nonProdDedicatedConsumption,
}

/** Answers `listBackups`. */
struct ListBackupsResult {
  /** Names of the files. */
  1: set<string> backups,
}

/** Answers `startMaintenance`. */
struct StartMaintenanceResult {
  /** The hosts. */
  1: set<HostStatus> statuses,
}

/** Answers `drainHosts` and `slaDrainHosts`. */
struct DrainHostsResult {
  /** The hosts. */
  1: set<HostStatus> statuses,
}

/** Answers `queryRecovery`. */
struct QueryRecoveryResult {
  /** The tasks. */
  1: set<ScheduledTask> tasks,
}

/** Answers `maintenanceStatus`. */
struct MaintenanceStatusResult {
  /** The hosts that are known. */
  1: set<HostStatus> statuses,
}

/** Answers `endMaintenance`. */
struct EndMaintenanceResult {
  /** The hosts. */
  1: set<HostStatus> statuses,
}

/** Answers `getRoleSummary`. */
struct RoleSummaryResult {
  /** The roles. */
  1: set<RoleSummary> summaries,
}

/** Answers `getJobSummary`. */
struct JobSummaryResult {
  /** The jobs. */
  1: set<JobSummary> summaries,
}

/** Answers `getConfigSummary`. */
struct ConfigSummaryResult {
  /** The job. */
  1: ConfigSummary summary,
}

/** Answers `getPendingReason`. */
struct GetPendingReasonResult {
  /** The tasks. */
  1: set<PendingReason> reasons,
}

/** Answers `startJobUpdate`; also with a refusal because of an update that is not over. */
struct StartJobUpdateResult {
  /** The update that was started, or is in the way. */
  1: JobUpdateKey key,
  /** The same with its remarks, by which clients recognise their own. */
  2: optional JobUpdateSummary updateSummary,
}

/** Answers `getJobUpdateSummaries`. */
struct GetJobUpdateSummariesResult {
  /** The updates, newest first. */
  1: list<JobUpdateSummary> updateSummaries,
}

/** Answers `getJobUpdateDetails`. */
struct GetJobUpdateDetailsResult {
  /** The update, if it was asked for by key. Deprecated. */
  1: JobUpdateDetails details,
  /** The updates, if they were asked for by query. */
  2: list<JobUpdateDetails> detailsList,
}

/** Answers `pulseJobUpdate`. */
struct PulseJobUpdateResult {
  /** What the pulse brought about. */
  1: JobUpdatePulseStatus status,
}

/** Answers `getJobUpdateDiff`. */
struct GetJobUpdateDiffResult {
  /** Instances that the update would add. */
  1: set<ConfigGroup> add,
  /** Instances that it would remove. */
  2: set<ConfigGroup> remove,
  /** Instances that it would change, with what they run now. */
  3: set<ConfigGroup> update,
  /** Instances that it would leave alone. */
  4: set<ConfigGroup> unchanged,
}

/** A tier. */
struct TierConfig {
  /** Its name. */
  1: string name,
  /** `preemptible` and `revocable`, each `true` or `false`. */
  2: map<string, string> settings,
}

/** Answers `getTierConfigs`. */
struct GetTierConfigResult {
  /** Name of the tier of tasks that name none. */
  1: string defaultTierName,
  /** All tiers. */
  2: set<TierConfig> tiers,
}

/** How tasks are reconciled with Mesos explicitly. */
struct ExplicitReconciliationSettings {
  /** Tasks per request to Mesos. */
  1: optional i32 batchSize,
}

/** Who answers. */
struct ServerInfo {
  /** Name of the cluster. */
  1: string clusterName,
  /** What links to statistics of a host or task begin with. */
  3: string statsUrlPrefix,
}

/** What a request yielded: the result named after the method that was called. */
union Result {
  /** Of `populateJobConfig`. */
  1: PopulateJobResult populateJobResult,
  /** Of `getTasksStatus` and `getTasksWithoutConfigs`. */
  3: ScheduleStatusResult scheduleStatusResult,
  /** Of `getJobs`. */
  4: GetJobsResult getJobsResult,
  /** Of `getQuota`. */
  5: GetQuotaResult getQuotaResult,
  /** Of `listBackups`. */
  6: ListBackupsResult listBackupsResult,
  /** Of `startMaintenance`. */
  7: StartMaintenanceResult startMaintenanceResult,
  /** Of `drainHosts` and `slaDrainHosts`. */
  8: DrainHostsResult drainHostsResult,
  /** Of `queryRecovery`. */
  9: QueryRecoveryResult queryRecoveryResult,
  /** Of `maintenanceStatus`. */
  10: MaintenanceStatusResult maintenanceStatusResult,
  /** Of `endMaintenance`. */
  11: EndMaintenanceResult endMaintenanceResult,
  /** Of `getRoleSummary`. */
  17: RoleSummaryResult roleSummaryResult,
  /** Of `getJobSummary`. */
  18: JobSummaryResult jobSummaryResult,
  /** Of `getConfigSummary`. */
  20: ConfigSummaryResult configSummaryResult,
  /** Of `getPendingReason`. */
  21: GetPendingReasonResult getPendingReasonResult,
  /** Of `startJobUpdate`. */
  22: StartJobUpdateResult startJobUpdateResult,
  /** Of `getJobUpdateSummaries`. */
  23: GetJobUpdateSummariesResult getJobUpdateSummariesResult,
  /** Of `getJobUpdateDetails`. */
  24: GetJobUpdateDetailsResult getJobUpdateDetailsResult,
  /** Of `pulseJobUpdate`. */
  25: PulseJobUpdateResult pulseJobUpdateResult,
  /** Of `getJobUpdateDiff`. */
  26: GetJobUpdateDiffResult getJobUpdateDiffResult,
  /** Of `getTierConfigs`. */
  27: GetTierConfigResult getTierConfigResult,
}

/** Something to tell the user. */
struct ResponseDetail {
  /** The text. */
  1: string message,
}

/** Answers every request. */
struct Response {
  /** What became of the request. */
  1: ResponseCode responseCode,
  /** Who answers. */
  5: ServerInfo serverInfo,
  /** What it yielded. */
  3: optional Result result,
  /** What to tell the user. Always set; mostly empty. */
  6: list<ResponseDetail> details,
}

// ---------------------------------------------------------------------------------------- Services

/** What anybody may ask. */
service ReadOnlyScheduler {
  /** How many jobs each role has. */
  Response getRoleSummary(),

  /** The jobs of a role, or of all if it is unset, with counts of their tasks. */
  Response getJobSummary(1: string role),

  /** Tasks. */
  Response getTasksStatus(1: TaskQuery query),

  /** Tasks without the data for their executor. */
  Response getTasksWithoutConfigs(1: TaskQuery query),

  /** Why tasks have no place yet. The query must not ask for states or hosts. */
  Response getPendingReason(1: TaskQuery query),

  /** Which instances of a job run what. */
  Response getConfigSummary(1: JobKey job),

  /** The jobs of a role, or of all if it is unset. */
  Response getJobs(1: string ownerRole),

  /** The quota of a role and what is used of it. */
  Response getQuota(1: string ownerRole),

  /** Checks a job and fills in what it leaves open. */
  Response populateJobConfig(1: JobConfiguration description),

  /** Updates, without their configurations. */
  Response getJobUpdateSummaries(1: JobUpdateQuery jobUpdateQuery),

  /** Updates with all that happened: those that `query` means, or that of the deprecated `key`. */
  Response getJobUpdateDetails(1: JobUpdateKey key, 2: JobUpdateQuery query),

  /** What an update would do. */
  Response getJobUpdateDiff(1: JobUpdateRequest request),

  /** The tiers. */
  Response getTierConfigs(),
}

/** What owners of jobs may do. */
service AuroraSchedulerManager extends ReadOnlyScheduler {
  /** Creates a job that is no cron job. */
  Response createJob(1: JobConfiguration description),

  /** Creates a cron job, or replaces it. */
  Response scheduleCronJob(1: JobConfiguration description),

  /** Removes a cron job. What runs of it runs on. */
  Response descheduleCronJob(4: JobKey job),

  /** Runs a cron job at once. */
  Response startCronJob(4: JobKey job),

  /** Replaces a cron job. */
  Response replaceCronTemplate(1: JobConfiguration config),

  /** Starts instances anew. */
  Response restartShards(5: JobKey job, 3: set<i32> shardIds),

  /** Ends instances for good. Empty `instances` is as unset: all of them. */
  Response killTasks(4: JobKey job, 5: set<i32> instances, 6: string message),

  /** Adds `count` instances that run what instance `key` runs. */
  Response addInstances(3: InstanceKey key, 4: i32 count),

  /** Starts an update. */
  Response startJobUpdate(1: JobUpdateRequest request, 3: string message),

  /** Interrupts an update. */
  Response pauseJobUpdate(1: JobUpdateKey key, 3: string message),

  /** Goes on with an update that was interrupted. */
  Response resumeJobUpdate(1: JobUpdateKey key, 3: string message),

  /** Ends an update as it stands. */
  Response abortJobUpdate(1: JobUpdateKey key, 3: string message),

  /** Undoes an update that is not over. */
  Response rollbackJobUpdate(1: JobUpdateKey key, 2: string message),

  /** Keeps an update going that needs pulses. */
  Response pulseJobUpdate(1: JobUpdateKey key),
}

/** What operators of the cluster may do. */
service AuroraAdmin extends AuroraSchedulerManager {
  /** Sets the quota of a role. */
  Response setQuota(1: string ownerRole, 2: ResourceAggregate quota),

  /** Moves a task to a state, if it can get there from its own. */
  Response forceTaskState(1: string taskId, 2: ScheduleStatus status),

  /** Writes a backup at once. */
  Response performBackup(),

  /** The backups there are. */
  Response listBackups(),

  /** Loads a backup aside, to look at it and change it. */
  Response stageRecovery(1: string backupId),

  /** Tasks of the backup that was loaded. */
  Response queryRecovery(1: TaskQuery query),

  /** Takes tasks out of the backup that was loaded. */
  Response deleteRecoveryTasks(1: TaskQuery query),

  /** Makes the backup that was loaded the state of the cluster. Ends the scheduler. */
  Response commitRecovery(),

  /** Drops the backup that was loaded. */
  Response unloadRecovery(),

  /** Keeps tasks away from hosts if there are others. */
  Response startMaintenance(1: Hosts hosts),

  /** Moves all tasks away from hosts. */
  Response drainHosts(1: Hosts hosts),

  /** Which maintenance hosts are under. */
  Response maintenanceStatus(1: Hosts hosts),

  /** Lets hosts take tasks again. */
  Response endMaintenance(1: Hosts hosts),

  /**
   * Moves all tasks away from hosts as their SLA policies, or the default one, allow; after the
   * timeout in any case.
   */
  Response slaDrainHosts(1: Hosts hosts, 2: SlaPolicy defaultSlaPolicy, 3: i64 timeoutSecs),

  /** Writes a snapshot to the log at once. */
  Response snapshot(),

  /** Asks Mesos about every task that should run. */
  Response triggerExplicitTaskReconciliation(1: ExplicitReconciliationSettings settings),

  /** Asks Mesos about every task that it knows of. */
  Response triggerImplicitTaskReconciliation(),

  /** Forgets tasks that have ended. */
  Response pruneTasks(1: TaskQuery query),
}
