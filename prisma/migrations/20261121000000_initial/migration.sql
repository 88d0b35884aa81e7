-- CreateTable
CREATE TABLE "Event" (
    "seq" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "event" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Snapshot" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "seq" INTEGER NOT NULL,
    "state" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Client" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "signingKey" TEXT NOT NULL,
    "certificate" TEXT,
    "enrolledAt" BIGINT NOT NULL,
    "revoked" BOOLEAN NOT NULL DEFAULT false
);

-- CreateTable
CREATE TABLE "Invitation" (
    "tokenHash" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL,
    "expiresAt" BIGINT NOT NULL,
    "usedAt" BIGINT
);

-- CreateTable
CREATE TABLE "Round" (
    "round" INTEGER NOT NULL PRIMARY KEY,
    "report" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Version" (
    "version" INTEGER NOT NULL PRIMARY KEY,
    "link" TEXT NOT NULL,
    "manifest" BLOB
);

-- CreateIndex
CREATE UNIQUE INDEX "Client_signingKey_key" ON "Client"("signingKey");
