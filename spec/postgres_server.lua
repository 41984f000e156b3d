-- A PostgreSQL server of the specs' own: in a temporary folder, on a unix
-- socket, run by "postgres" where the specs run as root. It is started by the
-- first spec that asks and stopped when the run ends.
--
--   local postgres = require "spec.postgres_server"
--   local server, reason = postgres.start()
--   if not server then pending(reason) return end
--   local database = server:new_database()
--   database.url                          -- postgres:///lunette_1?host=...
--   database:sql "SELECT 1"               -- the shell's answer, unaligned

local helper = require "spec.helper"

local postgres = {}
local server = {}
server.__index = server
local database = {}
database.__index = database

local function newest_binaries()
  local code, output = helper.run(
    "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1")
  local folder = output:match "^[^\n]+"
  if code == 0 and folder and folder ~= "" then
    return folder
  end
  code, output = helper.run "command -v initdb"
  return code == 0 and output:match "^(.*)/initdb" or nil
end

local function is_root()
  local _, output = helper.run { "id", "-u" }
  return output:match "^%d+" == "0"
end

-- The server refuses to be run by root.
local function unprivileged(argv)
  if not is_root() then
    return argv
  end
  local result = {
    "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
  }
  for _, word in ipairs(argv) do
    result[#result + 1] = word
  end
  return result
end

local function must(argv, options)
  local code, output, errors = helper.run(argv, options)
  if code ~= 0 then
    error(table.concat(argv, " ") .. ": " .. errors .. output, 2)
  end
  return output
end

-- ---- one server

local function make_data(self, options)
  if is_root() then
    must { "chown", "postgres", self.dir }
  end
  must(unprivileged {
    self.bin .. "/initdb", "-D", self.data, "-U", self.user, "-A", "trust",
    "-E", "UTF8", "--locale=C", "--no-sync",
  })
  local lines = {
    "listen_addresses = ''",
    "unix_socket_directories = '" .. self.dir .. "'",
    "fsync = " .. (options.fsync and "on" or "off"),
    "max_connections = 300",
    "shared_buffers = 32MB",
    "timezone = 'UTC'",
    "log_timezone = 'UTC'",
    "autovacuum_naptime = 10",
  }
  for name, value in pairs(options.settings or {}) do
    lines[#lines + 1] = name .. " = '" .. value .. "'"
  end
  local conf = assert(io.open(self.data .. "/postgresql.conf", "a"))
  conf:write(table.concat(lines, "\n"), "\n")
  conf:close()
end

-- What went wrong, in a line: the server's own word if it has one.
local function reason_of(self, message)
  local file = io.open(self.log)
  local log = file and file:read "a" or ""
  return "needs a PostgreSQL server, and none can be started: "
    .. (log:match "FATAL: +([^\n]+)" or message:gsub("%s+", " "))
end

-- options: fsync (false; true where a crash is part of the spec), settings (a
-- table of further lines of postgresql.conf), bin (the folder of another
-- server's programs; psql is the installed one). Nil and the reason where
-- there can be no server.
local function make(options)
  local installed = newest_binaries()
  local bin = options.bin or installed
  if not installed then
    return nil, "needs a PostgreSQL server, and none is installed"
  end
  local dir = helper.tmpdir()
  local self = setmetatable({
    bin = bin,
    psql = installed .. "/psql",
    user = "postgres",
    port = 5432,
    count = 0,
    mark = "",
    dir = dir,
    data = dir .. "/data",
    log = dir .. "/log",
  }, server)
  local done, message = pcall(function()
    make_data(self, options)
    self:start()
  end)
  if not done then
    pcall(self.stop, self, "immediate")
    return nil, reason_of(self, message)
  end
  return self
end

function server:start()
  must(unprivileged {
    self.bin .. "/pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "60",
    "-s", "start",
  }, { cwd = "/", timeout = 70 })
  self.running = true
end

-- mode: "fast", "immediate" (as after a crash), "smart"
function server:stop(mode)
  must(unprivileged {
    self.bin .. "/pg_ctl", "-D", self.data, "-m", mode or "fast", "-w", "-s",
    "stop",
  }, { cwd = "/" })
  self.running = false
end

-- A command as the user the server runs as.
server.unprivileged = unprivileged

function server:url(name, query)
  return "postgres://" .. self.user .. "@/" .. name .. "?host=" .. self.dir
    .. (query and "&" .. query or "")
end

-- A database with nothing in it; options: a suffix for CREATE DATABASE.
function server:new_database(options)
  self.count = self.count + 1
  local name = "lunette_" .. self.mark .. self.count
  self:sql("postgres", "CREATE DATABASE " .. name .. " "
    .. (options or ""))
  return setmetatable(
    { server = self, name = name, url = self:url(name) }, database)
end

-- What psql answers: rows as lines, columns apart by "|".
function server:sql(name, sql, user)
  return (must({
    self.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
    "-h", self.dir, "-p", tostring(self.port), "-U", user or self.user,
    "-d", name,
  }, { stdin = sql }):gsub("\n$", ""))
end

-- End the connections of Lunette's, as an administrator would. How many.
function server:terminate(name)
  return tonumber(self:sql("postgres", ([[
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = '%s' AND application_name = 'lunette']]):format(name)))
end

-- ---- a pooler in front of it

local pooler = {}
pooler.__index = pooler

-- PgBouncer in transaction mode, or nil and the reason why not.
function server:pooler()
  local missing = helper.missing "pgbouncer"
  if missing then
    return nil, missing
  end
  self.count = self.count + 1
  local dir = self.dir .. "/pooler_" .. self.mark .. self.count
  must(unprivileged { "mkdir", dir })
  local config = helper.write_file(helper.tmpdir() .. "/pgbouncer.ini", ([[
[databases]
* = host=%s port=%d
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = trust
auth_file = %s/users
pool_mode = transaction
default_pool_size = 20
logfile = %s/log
pidfile = %s/pid
]]):format(self.dir, self.port, dir, dir, dir, dir))
  must { "chmod", "-R", "a+rX", (config:match "^(.*)/") }
  must(unprivileged {
    "/bin/sh", "-c", 'printf \'"postgres" ""\n\' >"$0/users"', dir,
  })
  local one = setmetatable({
    server = self,
    dir = dir,
    command = unprivileged { "pgbouncer", config },
  }, pooler)
  one:start()
  return one
end

function pooler:start()
  self.process = helper.spawn(self.command, { cwd = "/" })
  helper.wait(function()
    return helper.run { "test", "-S", self.dir .. "/.s.PGSQL.6432" } == 0
  end)
end

-- The URL of a database through the pooler.
function pooler:url(name, query)
  return "postgres://" .. self.server.user .. "@/" .. name .. "?host="
    .. self.dir .. "&port=6432" .. (query and "&" .. query or "")
end

function pooler:stop()
  self.process:kill "TERM"
  self.process:wait()
end

-- ---- one database

function database:sql(sql, user)
  return self.server:sql(self.name, sql, user)
end

-- The URL with more in its query, as another user if one is named.
function database:with(query, user)
  local url = self.url .. (query and "&" .. query or "")
  return user and url:gsub("//[^@]*@", "//" .. user .. "@") or url
end

function database:terminate()
  return self.server:terminate(self.name)
end

function database:drop()
  self.server:sql("postgres",
    "DROP DATABASE " .. self.name .. " WITH (FORCE)")
end

-- ---- the one that specs share

local shared

-- Removed with the run, also where a spec failed.
local keeper = setmetatable({ servers = {} }, {
  __gc = function(self)
    for _, one in ipairs(self.servers) do
      if one.running then
        pcall(one.stop, one, "immediate")
      end
    end
  end,
})

-- busted forgets the modules of a spec file when it is done with it, this one
-- too; what they have started stays until the end.
local registry = debug.getregistry()
registry[keeper] = true

-- Other spec files, and programs that a spec starts, find the server by this:
-- BIN:DIR, or ! and the reason why there is none.
local PLACE = "LUNETTE_SPEC_POSTGRES"

local function no_server()
  return (os.getenv(PLACE) or ""):match "^!(.*)"
end

local function attach(place)
  local bin, dir = place:match "^(.*):(.*)$"
  return setmetatable({
    bin = bin,
    psql = bin .. "/psql",
    user = "postgres",
    port = 5432,
    count = 0,
    mark = ("%x_"):format(helper.now_ms() // 1),
    dir = dir,
    data = dir .. "/data",
    log = dir .. "/log",
    running = true,
  }, server)
end

-- The shared server, running; nil and the reason where there is none.
function postgres.start()
  local place, reason = os.getenv(PLACE), no_server()
  if reason then
    return nil, reason
  elseif not shared and place then
    shared = attach(place)
  elseif not shared then
    shared, reason = make {}
    keeper.servers[#keeper.servers + 1] = shared
    helper.setenv(PLACE, shared and shared.bin .. ":" .. shared.dir
      or "!" .. reason)
  end
  if shared and not shared.running then
    shared:start()
  end
  return shared, reason
end

-- A server for one spec, which stops and breaks it as it likes.
function postgres.own(options)
  if no_server() then
    return nil, no_server()
  end
  local one, why = make(options or {})
  keeper.servers[#keeper.servers + 1] = one
  return one, why
end

return postgres
