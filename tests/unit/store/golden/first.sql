BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE attempts (
	job INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	device VARCHAR(255) NOT NULL, 
	pid INTEGER, 
	state VARCHAR(16) NOT NULL, 
	started_at DOUBLE NOT NULL, 
	finished_at DOUBLE, 
	outcome TEXT, 
	PRIMARY KEY (job, number), 
	FOREIGN KEY(job) REFERENCES jobs (sequence) ON DELETE CASCADE
);
INSERT INTO "attempts" VALUES(1,1,'cuda:0',4711,'profiling',1700000002.0,1700000003.0,'passed');
INSERT INTO "attempts" VALUES(2,1,'cuda:0',NULL,'validating',1700000004.0,1700000005.0,'device lost');
INSERT INTO "attempts" VALUES(2,2,'cuda:1',NULL,'validating',1700000006.0,1700000007.0,'crashed');
INSERT INTO "attempts" VALUES(3,1,'cpu',NULL,'profiling',1700000008.0,NULL,NULL);
CREATE TABLE jobs (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job_id VARCHAR(128) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	status VARCHAR(32), 
	stage VARCHAR(32), 
	blame VARCHAR(32), 
	owner VARCHAR(255) NOT NULL, 
	priority INTEGER NOT NULL, 
	labels JSON NOT NULL, 
	manifest_sha256 VARCHAR(64), 
	claimed_path TEXT, 
	device VARCHAR(255), 
	attempts INTEGER NOT NULL, 
	submitted_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	published BOOLEAN NOT NULL, 
	speedup DOUBLE, 
	error_message TEXT, 
	CONSTRAINT final_jobs_are_finished CHECK ((state IN ('cancelled', 'completed', 'failed', 'rejected')) = (finished_at IS NOT NULL)), 
	CONSTRAINT published_jobs_are_finished CHECK (published = false OR finished_at IS NOT NULL), 
	UNIQUE (job_id)
);
INSERT INTO "jobs" VALUES(1,'passed','completed','passed',NULL,NULL,'ann',2,'{"step": "412", "gr\u00f6\u00dfe": "\u00b5"}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','/spool/claimed/000001/passed.yaml','cuda:0',1,1700000000.0,1700000002.0,1700000003.0,1,2.31,NULL);
INSERT INTO "jobs" VALUES(2,'crashed','completed','crashed','correctness','candidate','bob',0,'{}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','/spool/claimed/000001/crashed.yaml','cuda:1',2,1700000000.0,1700000006.0,1700000007.0,0,NULL,'signal 11');
INSERT INTO "jobs" VALUES(3,'running','profiling',NULL,NULL,NULL,'',0,'{}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','/spool/claimed/000001/running.yaml','cpu',1,1700000000.0,1700000008.0,NULL,0,NULL,NULL);
INSERT INTO "jobs" VALUES(4,'queued','submitted',NULL,NULL,NULL,'',0,'{"step": "413"}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','/spool/claimed/000001/queued.yaml',NULL,0,1700000000.0,NULL,NULL,0,NULL,NULL);
INSERT INTO "jobs" VALUES(5,'rejected','rejected','invalid_job','intake','job','',0,'{}',NULL,NULL,NULL,0,1700000001.0,NULL,1700000001.0,0,NULL,'unknown field /candidat');
CREATE TABLE labels (
	"key" VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	job INTEGER NOT NULL, 
	PRIMARY KEY ("key", value, job), 
	FOREIGN KEY(job) REFERENCES jobs (sequence) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "labels" VALUES('größe','µ',1);
INSERT INTO "labels" VALUES('step','412',1);
INSERT INTO "labels" VALUES('step','413',4);
CREATE TABLE manifests (
	job INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (job), 
	FOREIGN KEY(job) REFERENCES jobs (sequence) ON DELETE CASCADE
);
INSERT INTO "manifests" VALUES(1,'{"id": "passed"}');
INSERT INTO "manifests" VALUES(2,'{"id": "crashed"}');
INSERT INTO "manifests" VALUES(3,'{"id": "running"}');
INSERT INTO "manifests" VALUES(4,'{"id": "queued"}');
CREATE TABLE results (
	job INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (job), 
	FOREIGN KEY(job) REFERENCES jobs (sequence) ON DELETE CASCADE
);
INSERT INTO "results" VALUES(1,'{"status": "passed"}');
INSERT INTO "results" VALUES(2,'{"status": "crashed"}');
INSERT INTO "results" VALUES(5,'{"status": "invalid_job"}');
CREATE TABLE tallies (
	state VARCHAR(16) NOT NULL, 
	status VARCHAR(32) NOT NULL, 
	jobs INTEGER NOT NULL, 
	PRIMARY KEY (state, status), 
	CONSTRAINT tallies_are_counts CHECK (jobs >= 0)
);
INSERT INTO "tallies" VALUES('submitted','',1);
INSERT INTO "tallies" VALUES('rejected','invalid_job',1);
INSERT INTO "tallies" VALUES('compiling','',0);
INSERT INTO "tallies" VALUES('validating','',0);
INSERT INTO "tallies" VALUES('profiling','',1);
INSERT INTO "tallies" VALUES('completed','passed',1);
INSERT INTO "tallies" VALUES('completed','crashed',1);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_owner ON jobs (owner);
CREATE INDEX jobs_queue ON jobs (owner, priority DESC, sequence) WHERE state = 'submitted';
CREATE INDEX jobs_owed ON jobs (sequence) WHERE published = false AND finished_at IS NOT NULL;
CREATE INDEX labels_by_job ON labels (job);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',5);
COMMIT;
