/*
 * What a scheduler writes to its replicated log and to backups, in TBinaryProtocol.
 *
 * Names and ids are those of the original and must never change; ids that are skipped were used once
 * and must never be used again. Old logs must stay readable, so nothing may be taken away.
 */

namespace rs storage

include "api.thrift"

/** Keeps the id that Mesos gave the scheduler. */
struct SaveFrameworkId {
  /** The id. */
  1: string id,
}

/** Creates or replaces a cron job. */
struct SaveCronJob {
  /** The job. */
  2: api.JobConfiguration jobConfig,
}

/** Removes a cron job. */
struct RemoveJob {
  /** The job. */
  2: api.JobKey jobKey,
}

/** Creates or replaces tasks. */
struct SaveTasks {
  /** The tasks. */
  1: set<api.ScheduledTask> tasks,
}

/** Removes tasks. Those that do not exist are passed over. */
struct RemoveTasks {
  /** Their ids. */
  1: set<string> taskIds,
}

/** Sets the quota of a role. */
struct SaveQuota {
  /** The role. */
  1: string role,
  /** The quota. */
  2: api.ResourceAggregate quota,
}

/** Removes the quota of a role. */
struct RemoveQuota {
  /** The role. */
  1: string role,
}

/** Sets what is known of a host. */
struct SaveHostAttributes {
  /** The host. Passed over if it has no agent id. */
  1: api.HostAttributes hostAttributes,
}

/** Took a lock. Nothing any more. */
struct SaveLock {
  /** The lock. */
  1: api.Lock lock,
}

/** Gave a lock up. Nothing any more. */
struct RemoveLock {
  /** What was locked. */
  1: api.LockKey lockKey,
}

/** Creates an update. */
struct SaveJobUpdate {
  /** The update. */
  1: api.JobUpdate jobUpdate,
}

/** Adds an event to an update. */
struct SaveJobUpdateEvent {
  /** The event. */
  1: api.JobUpdateEvent event,
  /** The update. */
  3: api.JobUpdateKey key,
}

/** Adds an event of an instance to an update. */
struct SaveJobInstanceUpdateEvent {
  /** The event. */
  1: api.JobInstanceUpdateEvent event,
  /** The update. */
  3: api.JobUpdateKey key,
}

/** Removed old updates. Nothing any more. */
struct PruneJobUpdateHistory {
  /** How many were left per job. */
  1: i32 perJobRetainCount,
  /** From when on they counted as old. */
  2: i64 historyPruneThresholdMs,
}

/** Removes updates. */
struct RemoveJobUpdates {
  /** The updates. */
  1: set<api.JobUpdateKey> keys,
}

/** Creates or replaces a wish to drain a host. */
struct SaveHostMaintenanceRequest {
  /** The wish. */
  1: api.HostMaintenanceRequest hostMaintenanceRequest,
}

/** Removes the wish to drain a host. */
struct RemoveHostMaintenanceRequest {
  /** The host. */
  1: string host,
}

/** A change of the state. */
union Op {
  /** Keeps the framework id. */
  1: SaveFrameworkId saveFrameworkId,
  /** Creates or replaces a cron job. */
  2: SaveCronJob saveCronJob,
  /** Removes a cron job. */
  5: RemoveJob removeJob,
  /** Creates or replaces tasks. */
  6: SaveTasks saveTasks,
  /** Removes tasks. */
  7: RemoveTasks removeTasks,
  /** Sets a quota. */
  8: SaveQuota saveQuota,
  /** Removes a quota. */
  9: RemoveQuota removeQuota,
  /** Sets what is known of a host. */
  10: SaveHostAttributes saveHostAttributes,
  /** To be passed over. */
  12: SaveLock saveLock,
  /** To be passed over. */
  13: RemoveLock removeLock,
  /** Creates an update. */
  14: SaveJobUpdate saveJobUpdate,
  /** Adds an event to an update. */
  15: SaveJobUpdateEvent saveJobUpdateEvent,
  /** Adds an event of an instance to an update. */
  16: SaveJobInstanceUpdateEvent saveJobInstanceUpdateEvent,
  /** To be passed over. */
  17: PruneJobUpdateHistory pruneJobUpdateHistory,
  /** Removes updates. */
  18: RemoveJobUpdates removeJobUpdate,
  /** Creates or replaces a wish to drain a host. */
  19: SaveHostMaintenanceRequest saveHostMaintenanceRequest,
  /** Removes the wish to drain a host. */
  20: RemoveHostMaintenanceRequest removeHostMaintenanceRequest,
}

/** `Transaction.schemaVersion` of all that is written. */
const i32 CURRENT_SCHEMA_VERSION = 1

/** Changes that are made together or not at all. */
struct Transaction {
  /** The changes, in order. */
  1: list<Op> ops,
  /** Version of the format. */
  2: i32 schemaVersion,
}

/** A cron job. */
struct StoredCronJob {
  /** The job. */
  3: api.JobConfiguration jobConfiguration,
}

/** What the scheduler knows of itself. */
struct SchedulerMetadata {
  /** The id that Mesos gave it. */
  1: string frameworkId,
  /** Properties of the build that wrote the snapshot. */
  8: map<string, string> details,
}

/** Quota of a role. */
struct QuotaConfiguration {
  /** The role. */
  1: string role,
  /** Its quota. */
  2: api.ResourceAggregate quota,
}

/** An update and all that happened. */
struct StoredJobUpdateDetails {
  /** The update. */
  1: api.JobUpdateDetails details,
}

/** The whole state. Takes the place of all that was written before it. A backup is one, bare. */
struct Snapshot {
  /** When it was taken, in milliseconds since the epoch. */
  1: i64 timestamp,
  /** The hosts. */
  3: set<api.HostAttributes> hostAttributes,
  /** The tasks. Unset inside a `DeduplicatedSnapshot`. */
  4: set<api.ScheduledTask> tasks,
  /** The cron jobs. */
  5: set<StoredCronJob> cronJobs,
  /** What the scheduler knows of itself. */
  6: SchedulerMetadata schedulerMetadata,
  /** The quotas. */
  8: set<QuotaConfiguration> quotaConfigurations,
  /** The updates. */
  10: set<StoredJobUpdateDetails> jobUpdateDetails,
  /** The hosts to be drained. */
  13: set<api.HostMaintenanceRequest> hostMaintenanceRequests,
}

/** Announces an entry that is cut into chunks. */
struct FrameHeader {
  /** How many chunks follow. */
  1: i32 chunkCount,
  /** MD5 of the whole entry. */
  2: binary checksum,
}

/** A part of an entry. */
struct FrameChunk {
  /** The bytes. */
  2: binary data,
}

/** A record of an entry that is cut into chunks. */
union Frame {
  /** The first record. */
  1: FrameHeader header,
  /** One of those that follow, in order. */
  2: FrameChunk chunk,
}

/** A task whose configuration is kept elsewhere. */
struct DeduplicatedScheduledTask {
  /** The task; its configuration is unset. */
  1: api.ScheduledTask partialScheduledTask,
  /** Index of its configuration in `DeduplicatedSnapshot.taskConfigs`. */
  2: i32 taskConfigId,
}

/** A snapshot in which equal task configurations occur once. */
struct DeduplicatedSnapshot {
  /** All but the tasks. */
  1: Snapshot partialSnapshot,
  /** The tasks. */
  2: list<DeduplicatedScheduledTask> partialTasks,
  /** The configurations. */
  3: list<api.TaskConfig> taskConfigs,
}

/** A record of the log, once its frames are put together. */
union LogEntry {
  /** The whole state. */
  1: Snapshot snapshot,
  /** Changes. */
  2: Transaction transaction,
  /** Nothing. Written to take the lead. */
  3: bool noop,
  /** A part of an entry that is too long for one record. */
  4: Frame frame,
  /** Another `LogEntry`, encoded and then compressed by zlib. */
  5: binary deflatedEntry,
  /** The whole state, smaller. */
  6: DeduplicatedSnapshot deduplicatedSnapshot,
}
