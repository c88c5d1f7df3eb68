-- The tables of Dokploy 0.30.2 that dokreg reads, with their columns as its migrations leave them, without the
-- constraints between them. Its compose stacks and databases, which are only counted, have the columns that are alike.
CREATE TYPE "RegistryType" AS ENUM ('selfHosted', 'cloud');
CREATE TYPE "applicationStatus" AS ENUM ('idle', 'running', 'done', 'error');
CREATE TYPE "buildType" AS ENUM (
    'dockerfile', 'heroku_buildpacks', 'paketo_buildpacks', 'nixpacks', 'static', 'railpack');
CREATE TYPE "certificateType" AS ENUM ('letsencrypt', 'none', 'custom');
CREATE TYPE "domainType" AS ENUM ('compose', 'application', 'preview');
CREATE TYPE "mountType" AS ENUM ('bind', 'volume', 'file');
CREATE TYPE "protocolType" AS ENUM ('tcp', 'udp');
CREATE TYPE "publishModeType" AS ENUM ('ingress', 'host');
CREATE TYPE "serverStatus" AS ENUM ('active', 'inactive');
CREATE TYPE "serverType" AS ENUM ('deploy', 'build');
CREATE TYPE "serviceType" AS ENUM (
    'application', 'postgres', 'mysql', 'mariadb', 'mongo', 'redis', 'compose', 'libsql');
CREATE TYPE "sourceType" AS ENUM ('docker', 'git', 'github', 'gitea', 'drop', 'gitlab', 'bitbucket');
CREATE TYPE "triggerType" AS ENUM ('push', 'tag');
CREATE TABLE "organization" (
    "id" text NOT NULL, "name" text NOT NULL, "slug" text, "logo" text,
    "created_at" timestamp without time zone NOT NULL, "metadata" text, "owner_id" text NOT NULL,
    "default_role" text, PRIMARY KEY ("id")
);
CREATE TABLE "ssh-key" (
    "sshKeyId" text NOT NULL, "publicKey" text NOT NULL, "name" text NOT NULL, "description" text,
    "createdAt" text NOT NULL, "lastUsedAt" text, "privateKey" text NOT NULL DEFAULT '',
    "organizationId" text NOT NULL, PRIMARY KEY ("sshKeyId")
);
CREATE TABLE "server" (
    "serverId" text NOT NULL, "name" text NOT NULL, "description" text, "ipAddress" text NOT NULL,
    "port" integer NOT NULL, "username" text NOT NULL DEFAULT 'root', "appName" text NOT NULL,
    "enableDockerCleanup" boolean NOT NULL DEFAULT false, "createdAt" text NOT NULL, "sshKeyId" text,
    "serverStatus" "serverStatus" NOT NULL DEFAULT 'active', "command" text NOT NULL DEFAULT '',
    "metricsConfig" jsonb NOT NULL DEFAULT '{}',
    "organizationId" text NOT NULL,
    "serverType" "serverType" NOT NULL DEFAULT 'deploy', "buildsConcurrency" integer NOT NULL DEFAULT 1,
    PRIMARY KEY ("serverId")
);
CREATE TABLE "registry" (
    "registryId" text NOT NULL, "registryName" text NOT NULL, "username" text NOT NULL, "password" text NOT NULL,
    "registryUrl" text NOT NULL DEFAULT '', "createdAt" text NOT NULL,
    "selfHosted" "RegistryType" NOT NULL DEFAULT 'cloud', "imagePrefix" text, "organizationId" text NOT NULL,
    PRIMARY KEY ("registryId")
);
CREATE TABLE "project" (
    "projectId" text NOT NULL, "name" text NOT NULL, "description" text, "createdAt" text NOT NULL,
    "env" text NOT NULL DEFAULT '', "organizationId" text NOT NULL, PRIMARY KEY ("projectId")
);
CREATE TABLE "environment" (
    "environmentId" text NOT NULL, "name" text NOT NULL, "description" text, "createdAt" text NOT NULL,
    "projectId" text NOT NULL, "env" text NOT NULL DEFAULT '', "isDefault" boolean NOT NULL DEFAULT false,
    PRIMARY KEY ("environmentId")
);
CREATE TABLE "application" (
    "applicationId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "memoryReservation" text, "memoryLimit" text, "cpuReservation" text, "cpuLimit" text, "title" text,
    "enabled" boolean, "subtitle" text, "command" text, "refreshToken" text,
    "sourceType" "sourceType" NOT NULL DEFAULT 'github', "repository" text, "owner" text, "branch" text,
    "buildPath" text DEFAULT '/', "autoDeploy" boolean, "username" text, "password" text, "dockerImage" text,
    "customGitUrl" text, "customGitBranch" text, "customGitBuildPath" text, "dockerfile" text DEFAULT 'Dockerfile',
    "applicationStatus" "applicationStatus" NOT NULL DEFAULT 'idle',
    "buildType" "buildType" NOT NULL DEFAULT 'nixpacks', "createdAt" text NOT NULL, "registryId" text,
    "replicas" integer NOT NULL DEFAULT 1, "healthCheckSwarm" json, "restartPolicySwarm" json,
    "placementSwarm" json, "updateConfigSwarm" json, "rollbackConfigSwarm" json, "modeSwarm" json,
    "labelsSwarm" json, "networkSwarm" json, "dropBuildPath" text, "buildArgs" text, "customGitSSHKeyId" text,
    "publishDirectory" text, "dockerContextPath" text, "gitlabProjectId" integer, "gitlabRepository" text,
    "gitlabOwner" text, "gitlabBranch" text, "gitlabBuildPath" text DEFAULT '/', "gitlabPathNamespace" text,
    "bitbucketRepository" text, "bitbucketOwner" text, "bitbucketBranch" text,
    "bitbucketBuildPath" text DEFAULT '/', "githubId" text, "gitlabId" text, "bitbucketId" text,
    "dockerBuildStage" text, "serverId" text, "registryUrl" text, "herokuVersion" text DEFAULT '24',
    "previewEnv" text, "previewBuildArgs" text, "previewWildcard" text, "previewPort" integer DEFAULT 3000,
    "previewHttps" boolean NOT NULL DEFAULT false, "previewPath" text DEFAULT '/',
    "certificateType" "certificateType" NOT NULL DEFAULT 'none', "previewLimit" integer DEFAULT 3,
    "isPreviewDeploymentsActive" boolean DEFAULT false, "previewCustomCertResolver" text, "watchPaths" text[],
    "cleanCache" boolean DEFAULT false, "giteaRepository" text, "giteaOwner" text, "giteaBranch" text,
    "giteaBuildPath" text DEFAULT '/', "giteaId" text, "enableSubmodules" boolean NOT NULL DEFAULT false,
    "triggerType" "triggerType" DEFAULT 'push', "isStaticSpa" boolean, "rollbackActive" boolean DEFAULT false,
    "previewRequireCollaboratorPermissions" boolean DEFAULT true, "railpackVersion" text DEFAULT '0.15.4',
    "previewLabels" text[], "environmentId" text NOT NULL, "stopGracePeriodSwarm" bigint,
    "previewBuildSecrets" text, "buildSecrets" text, "endpointSpecSwarm" json, "buildServerId" text,
    "buildRegistryId" text, "args" text[], "rollbackRegistryId" text, "createEnvFile" boolean NOT NULL DEFAULT true,
    "bitbucketRepositorySlug" text, "ulimitsSwarm" json, "icon" text, "networkIds" text[] DEFAULT '{}',
    "detachDokployNetwork" boolean NOT NULL DEFAULT false, PRIMARY KEY ("applicationId")
);
CREATE TABLE "port" (
    "portId" text NOT NULL, "publishedPort" integer NOT NULL, "targetPort" integer NOT NULL,
    "protocol" "protocolType" NOT NULL, "applicationId" text NOT NULL,
    "publishMode" "publishModeType" NOT NULL DEFAULT 'host', PRIMARY KEY ("portId")
);
CREATE TABLE "mount" (
    "mountId" text NOT NULL, "type" "mountType" NOT NULL, "hostPath" text, "volumeName" text, "content" text,
    "serviceType" "serviceType" NOT NULL DEFAULT 'application', "mountPath" text NOT NULL, "applicationId" text,
    "postgresId" text, "mariadbId" text, "mongoId" text, "mysqlId" text, "redisId" text, "composeId" text,
    "filePath" text, "libsqlId" text, PRIMARY KEY ("mountId")
);
CREATE TABLE "domain" (
    "domainId" text NOT NULL, "host" text NOT NULL, "https" boolean NOT NULL DEFAULT false,
    "port" integer DEFAULT 3000, "path" text DEFAULT '/', "uniqueConfigKey" serial, "createdAt" text NOT NULL,
    "applicationId" text, "certificateType" "certificateType" NOT NULL DEFAULT 'none', "serviceName" text,
    "domainType" "domainType" DEFAULT 'application', "composeId" text, "previewDeploymentId" text,
    "customCertResolver" text, "internalPath" text DEFAULT '/', "stripPath" boolean NOT NULL DEFAULT false,
    "customEntrypoint" text, "middlewares" text[] DEFAULT '{}',
    "forwardAuthEnabled" boolean NOT NULL DEFAULT false, "enabled" boolean NOT NULL DEFAULT true,
    PRIMARY KEY ("domainId")
);
CREATE TABLE "redirect" (
    "redirectId" text NOT NULL, "regex" text NOT NULL, "replacement" text NOT NULL,
    "permanent" boolean NOT NULL DEFAULT false, "uniqueConfigKey" serial, "createdAt" text NOT NULL,
    "applicationId" text NOT NULL, PRIMARY KEY ("redirectId")
);
CREATE TABLE "security" (
    "securityId" text NOT NULL, "username" text NOT NULL, "password" text NOT NULL, "createdAt" text NOT NULL,
    "applicationId" text NOT NULL, PRIMARY KEY ("securityId")
);
CREATE TABLE "compose" (
    "composeId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("composeId")
);
CREATE TABLE "postgres" (
    "postgresId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("postgresId")
);
CREATE TABLE "mysql" (
    "mysqlId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("mysqlId")
);
CREATE TABLE "mariadb" (
    "mariadbId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("mariadbId")
);
CREATE TABLE "mongo" (
    "mongoId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("mongoId")
);
CREATE TABLE "redis" (
    "redisId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("redisId")
);
CREATE TABLE "libsql" (
    "libsqlId" text NOT NULL, "name" text NOT NULL, "appName" text NOT NULL, "description" text, "env" text,
    "createdAt" text NOT NULL, "environmentId" text NOT NULL, "serverId" text, PRIMARY KEY ("libsqlId")
);
