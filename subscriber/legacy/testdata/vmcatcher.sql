-- The database of vmcatcher 0.6 (tables, columns, types, keys and the order of
-- columns are those that its model makes), with what sites have in it.
CREATE TABLE endorser (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, PRIMARY KEY (id), UNIQUE (identifier));
CREATE TABLE subscription (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, description VARCHAR(200),
	uri VARCHAR(200) NOT NULL, authorised BOOLEAN NOT NULL, imagelist_latest INTEGER, updated DATETIME,
	"trustAnchor" INTEGER NOT NULL, "userName" VARCHAR(200), password VARCHAR(200), "updateMode" INTEGER NOT NULL,
	PRIMARY KEY (id), UNIQUE (identifier), UNIQUE (uri));
CREATE TABLE "endorserPrincible" (id INTEGER NOT NULL, hv_dn VARCHAR(50) NOT NULL, hv_ca VARCHAR(50) NOT NULL, endorser INTEGER,
	PRIMARY KEY (id), UNIQUE (hv_dn), FOREIGN KEY(endorser) REFERENCES endorser (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "subscriptionAuth" (id INTEGER NOT NULL, subscription INTEGER, endorser INTEGER, authorised BOOLEAN NOT NULL,
	PRIMARY KEY (id), FOREIGN KEY(subscription) REFERENCES subscription (id) ON DELETE CASCADE ON UPDATE CASCADE,
	FOREIGN KEY(endorser) REFERENCES endorser (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "ImageDefinition" (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, latest INTEGER, cache INTEGER NOT NULL,
	subscription INTEGER, PRIMARY KEY (id), UNIQUE (identifier),
	FOREIGN KEY(subscription) REFERENCES subscription (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "imageListInstance" (id INTEGER NOT NULL, data BLOB NOT NULL, data_hash VARCHAR(128) NOT NULL, expired DATETIME,
	sub_auth INTEGER, imported DATETIME NOT NULL, created DATETIME NOT NULL, expires DATETIME NOT NULL, version VARCHAR(50) NOT NULL,
	PRIMARY KEY (id), FOREIGN KEY(sub_auth) REFERENCES "subscriptionAuth" (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "ImageInstance" (id INTEGER NOT NULL, description VARCHAR(50) NOT NULL, hypervisor VARCHAR(50) NOT NULL,
	sha512 VARCHAR(128) NOT NULL, uri VARCHAR(128) NOT NULL, os VARCHAR(50) NOT NULL, osversion VARCHAR(50) NOT NULL,
	arch VARCHAR(50) NOT NULL, version VARCHAR(50) NOT NULL, size INTEGER NOT NULL, title VARCHAR(100) NOT NULL,
	comments VARCHAR(100), "fkIdentifier" INTEGER, fkimagelistinstance INTEGER, PRIMARY KEY (id),
	FOREIGN KEY("fkIdentifier") REFERENCES "ImageDefinition" (id) ON DELETE CASCADE ON UPDATE CASCADE,
	FOREIGN KEY(fkimagelistinstance) REFERENCES "imageListInstance" (id) ON DELETE CASCADE ON UPDATE CASCADE);

INSERT INTO endorser VALUES (1,'Alice'), (2,'Bob O''Hara'), (3,'gone');
INSERT INTO "endorserPrincible" VALUES (1,'/DC=org/DC=example/CN=Alice','/DC=org/DC=example/CN=Example CA',1),
	(2,'/DC=org/DC=example/CN=Bob O''Hara','/DC=org/DC=example/CN=Example CA',2),
	(3,'/DC=org/DC=example/CN=Gone','/DC=org/DC=example/CN=Example CA',3);

INSERT INTO subscription VALUES
	(1,'63175437-7d59-4851-b333-c96cb6545a86','Two endorsers; two of three images'||char(10)||'line two \n',
		'https://cernvm.example.org/releases/image.list',1,2,'2026-11-01 10:00:00.000000',0,NULL,NULL,0),
	(2,'11111111-0000-4000-8000-000000000002','New images are wanted','https://vmcaster.example.org/store/vo/ops.example.org/image.list',
		1,NULL,NULL,2,'token-canary-1','x-oauth-basic',3),
	(3,'11111111-0000-4000-8000-000000000003','No image is wanted','https://lists.example.org/none.list',1,NULL,NULL,1,'joe','password-canary-2',1),
	(4,'11111111-0000-4000-8000-000000000004','Read from a file','file:///root/hepix_signed_image_list',1,NULL,NULL,0,NULL,NULL,0),
	(5,'11111111-0000-4000-8000-000000000005','Not authorised','https://lists.example.org/five.list',0,NULL,NULL,0,'','',0),
	(6,'11111111-0000-4000-8000-000000000006','Its endorser is not','https://lists.example.org/six.list',1,NULL,NULL,0,'','',0);
INSERT INTO "subscriptionAuth" VALUES (1,1,1,1), (2,1,2,1), (3,2,1,1), (4,3,2,1), (5,4,1,1), (6,5,1,1), (7,6,3,0);
INSERT INTO "ImageDefinition" VALUES (1,'aaaaaaaa-0000-4000-8000-000000000001',1,1,1), (2,'aaaaaaaa-0000-4000-8000-000000000002',2,0,1),
	(3,'aaaaaaaa-0000-4000-8000-000000000003',3,1,1), (4,'../../etc/passwd',4,1,1),
	(5,'bbbbbbbb-0000-4000-8000-000000000001',5,1,2), (6,'bbbbbbbb-0000-4000-8000-000000000002',6,0,2), (7,'cccccccc-0000-4000-8000-000000000001',7,0,3);
INSERT INTO "imageListInstance" VALUES (1,X'4d494d452d56657273696f6e3a20312e300a','00',NULL,1,'2026-10-01 10:00:00','2026-10-01 10:00:00','2026-11-01 10:00:00','1.0'),
	(2,zeroblob(300000),'01',NULL,1,'2026-11-01 10:00:00','2026-11-01 10:00:00','2026-12-01 10:00:00','1.1');
INSERT INTO "ImageInstance" VALUES (1,'an image; with '' and "','kvm','00','https://images.example.org/1.img','Linux','13','x86_64','1.0',1048576,'Image 1',NULL,1,2);
