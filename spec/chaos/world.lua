-- What a chaos run acts on: stores of one kind, writers that append to them,
-- engines and commands as processes, and scripts that come and go.
--
-- Everything it is told to do is noted. Whatever ends in a way that nobody
-- asked for, an exit status that means misuse or a crash among them, is an
-- error that carries the notes.

local helper = require "spec.helper"
local layouts = require "spec.stores.postgres.events.layouts"
local lunette = require "lunette"
local pg_writer = require "pg_writer"
local postgres = require "spec.postgres_server"
local scripts = require "spec.chaos.scripts"
local workplace = require "spec.engine.cli.workplace"

local world = { SLOTS = 3 }
world.__index = world

-- ---- kinds of stores

-- $1 stream, $2 version, $3 id: see pg_writer.
local data = [[jsonb_build_object('n', $2::bigint, 'accounts',
  jsonb_build_array($1::text))]]
local type_of = [[(ARRAY['Opened', 'Moved', 'Moved', 'Noise', 'Moved',
  'Closed'])[1 + (ascii($3::text) + $2::bigint) % 6] ]]

local kinds = {}

kinds.sqlite = function(self, seed)
  self.place.env.LUNETTE_EVENTS = "sqlite:" .. self.place:path "events.db"
  self.place.env.LUNETTE_MODELS = "sqlite:" .. self.place:path "models.db"
  self:start_writer(seed)
  self:start_writer(seed + 1)
end

local function on_server(self, models)
  self.database = assert(postgres.start()):new_database()
  self.place.env.LUNETTE_MODELS = models
    or self.database:with "schema=models"
end

kinds.postgres = function(self, seed)
  on_server(self)
  self.place.env.LUNETTE_EVENTS = self.database.url
  self.place:done { "append", "--stream", "s", "--type", "Noise",
    "--data", "{}" }
  self:start_writer(seed)
  self.held = pg_writer.start(self.database.url, ([[
    INSERT INTO lunette_events (id, stream, version, type, data)
    VALUES ($3::uuid, $1, $2::bigint, %s, %s)]]):format(type_of, data),
    { writers = 6, hold_ms = 200, seed = seed })
end

kinds.emmett = function(self, seed)
  on_server(self, "sqlite:" .. self.place:path "models.db")
  self.place.env.LUNETTE_EVENTS = self.database:with "layout=emmett"
  self.database:sql(layouts.emmett.schema)
  self.held = pg_writer.start(self.database.url, ([[
    INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
      message_schema_version, message_id, message_type, message_data,
      message_metadata)
    VALUES ($1, $2::bigint, pg_current_xact_id(), '1', $3, %s, %s, '{}')]])
    :format(type_of, data), { writers = 8, hold_ms = 200, seed = seed })
end

world.kinds = { "sqlite", "postgres", "emmett" }

-- Why there can be no world of a kind; nil where there can.
function world.missing(kind)
  if kind ~= "sqlite" then
    return select(2, postgres.start())
  end
end

function world.new(kind, r, seed)
  local self = setmetatable({
    kind = kind,
    r = r,
    place = workplace.new(),
    notes = {},
    began = helper.now_ms(),
    writers = {},
    engines = {}, -- by slot
    ending = {},  -- engines that were told to stop
    commands = {},
    scripts = {},
  }, world)
  local env = self.place.env
  env.LUNETTE_LEASE_MS = "600"
  env.LUNETTE_HEARTBEAT_MS = "100"
  env.LUNETTE_RETRY_MS = "20"
  env.LUNETTE_RETRY_MAX_MS = "200"
  env.LUNETTE_POLL_MS = "50"
  env.LUNETTE_SCRIPT_INSTRUCTIONS = "200000"
  env.LUNETTE_SCRIPT_MEMORY_BYTES = "4000000"
  env.LUNETTE_SYNCHRONOUS = "off"
  for _, name in ipairs(scripts.names) do
    self.scripts[name] = { name = name, version = 1, salt = 0 }
    self:write_script(name)
  end
  kinds[kind](self, seed)
  return self
end

-- ---- notes

function world:note(...)
  self.notes[#self.notes + 1] = ("%6d ms  %s"):format(
    helper.now_ms() - self.began, (table.concat({ ... }, " ")))
end

function world:fail(message)
  error(("%s\n\nstores: %s\nfolder: %s\noperations:\n%s"):format(message,
    self.kind, self.place.folder, table.concat(self.notes, "\n")), 0)
end

-- ---- writers

function world:start_writer(seed)
  self.writers[#self.writers + 1] = helper.spawn({ "lua5.4",
    "spec/chaos/writer.lua", self.place.env.LUNETTE_EVENTS, tostring(seed) },
    { cwd = helper.root })
end

local function kill(process)
  process:kill "KILL"
  process:wait()
end

-- Those that append by SQL say what was committed.
function world:stop_writers()
  for _, writer in ipairs(self.writers) do
    if writer:wait(0) then
      self:fail("a writer ended: " .. writer:stderr())
    end
    kill(writer)
  end
  self.writers = {}
  self.committed = self.held and #self.held:stop()
  self.held = nil
end

-- ---- scripts

function world:write_script(name)
  local state = self.scripts[name]
  local path = self.place:path("projections/" .. name .. ".lua")
  local text = scripts.text(state)
  if not text then
    os.remove(path)
    return
  end
  -- As editors save: the text is never seen by halves.
  helper.write_file(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
end

-- ---- engines

-- What ends an engine by itself: nothing, but a server that is lost while it
-- starts. One that is told to stop before it runs ends with 130, or by the
-- signal where it could not yet take that.
function world:judge_end(engine, code)
  local said = engine:stderr()
  if engine.killed and code == 137
    or engine.told
    and (code == 0 or code == 130 or code == 143 and said == "") then
    return
  end
  if engine.cut and code == 1 then
    self:note("an engine that lost its server ended:", said:sub(-200))
    return
  end
  self:fail(("an engine ended with %d: %s"):format(code, said:sub(-3000)))
end

function world:start_engine(slot)
  local r = self.r
  self.engines[slot] = self.place:spawn { "run",
    "--batch-events", tostring(r:pick { 1, 7, 60, 1000 }),
    "--live-events", tostring(r:pick { 1, 50, 1000 }),
    "--memory-bytes", tostring(r:pick { 4096, 8192, 2000000 }) }
end

function world:kill_engine(slot)
  local engine = self.engines[slot]
  engine.killed = true
  engine:kill "KILL"
  self:judge_end(engine, engine:wait())
  self.engines[slot] = nil
end

function world:stop_engine(slot)
  local engine = self.engines[slot]
  self.engines[slot] = nil
  engine.told = true
  engine:kill "CONT"
  engine:kill "TERM"
  self.ending[#self.ending + 1] = engine
end

-- Whoever has ended is judged.
function world:look_after()
  for slot, engine in pairs(self.engines) do
    local code = engine:wait(0)
    if code then
      self.engines[slot] = nil
      self:judge_end(engine, code)
    end
  end
  for i = #self.ending, 1, -1 do
    local code = self.ending[i]:wait(0)
    if code then
      self:judge_end(table.remove(self.ending, i), code)
    end
  end
  for i = #self.commands, 1, -1 do
    local command = self.commands[i]
    local code = command:wait(0)
    if code then
      table.remove(self.commands, i)
      if code > 1 then
        self:fail(("%s ended with %d: %s"):format(command.words, code,
          command:stderr()))
      end
    end
  end
end

-- ---- commands

-- Beside everything else; it may fail, as long as it ends and says why.
function world:command(words)
  local command = self.place:spawn(words)
  command.words = table.concat(words, " ")
  self.commands[#self.commands + 1] = command
end

-- Now, and to the end: exit code, output, errors.
function world:ask(words)
  local code, out, err = self.place:run(words, { timeout = 60 })
  if code > 1 then
    self:fail(("%s ended with %d: %s"):format(table.concat(words, " "), code,
      err))
  end
  return code, out, err
end

function world:terminate()
  if not self.database then
    return
  end
  self.database:terminate()
  for _, engine in pairs(self.engines) do
    engine.cut = true
  end
end

-- ---- quiet, and what is there then

function world:settle()
  self:stop_writers()
  for slot, engine in pairs(self.engines) do
    engine:kill "CONT"
    if slot > 1 then
      self:stop_engine(slot)
    end
  end
  for _, state in pairs(self.scripts) do
    state.broken = nil
    self:write_script(state.name)
  end
  helper.wait(function()
    self:look_after()
    return #self.commands == 0 and #self.ending == 0
  end, 60)
  if not self.engines[1] then
    self:start_engine(1)
  end
end

-- What has to be done for a projection to be live with nothing set aside; nil
-- when it is.
local function remedy(status, version)
  if status.version ~= version or status.last_error ~= lunette.null
    and status.last_error:find "rebuild" then
    return { "rebuild", "--no-wait", status.name }
  elseif status.state == "paused" or status.state == "failed" then
    return { "resume", status.name }
  elseif status.parked > 0 then
    return { "parked", "retry", status.name }
  elseif status.state ~= "live" or status.lag_events > 0 then
    return {}
  end
end

function world:status()
  local code, out = self:ask { "--json", "status" }
  return code == 0 and assert(lunette.decode(out)) or {}
end

-- Do what is needed until every projection is live. The last status.
function world:recover(seconds)
  local limit = helper.now_ms() + seconds * 1000
  while true do
    self:look_after()
    local list, live = self:status(), 0
    for _, status in ipairs(list) do
      local words = remedy(status, self.scripts[status.name].version)
      if not words then
        live = live + 1
      elseif words[1] then
        self:note(table.concat(words, " "))
        self:ask(words)
      end
    end
    if live == #scripts.names then
      return
    end
    if helper.now_ms() > limit then
      local engine = self.engines[1]
      self:fail("not live after " .. seconds .. " seconds: "
        .. lunette.encode(list) .. "\n"
        .. (engine and engine:stderr():sub(-4000) or "no engine"))
    end
    helper.sleep_ms(20) -- between two looks
  end
end

-- Every event, in the order in which a fold has to see them.
function world:events()
  local code, out, err = self:ask { "events", "--json", "--limit", "0" }
  if code ~= 0 then
    self:fail("events: " .. err)
  end
  local list = {}
  for line in out:gmatch "[^\n]+" do
    list[#list + 1] = assert(lunette.decode(line))
  end
  if self.kind == "emmett" then -- there streams alone have an order
    table.sort(list, function(a, b)
      if a.stream ~= b.stream then
        return a.stream < b.stream
      end
      return a.version < b.version
    end)
  end
  if self.kind == "emmett" and #list ~= self.committed then
    self:fail(("%d events of %d are shown"):format(#list, self.committed))
  end
  return list
end

function world:models(name)
  local code, out, err = self:ask { "--json", "query", name, "limit=1000" }
  if code ~= 0 then
    return nil, err
  end
  local models = {}
  for _, row in ipairs(assert(lunette.decode(out))) do
    models[row.id], row.id = row, nil
  end
  return models
end

-- Compare until it fits: the last batch may be under way.
function world:compare(seconds)
  local events = self:events()
  for _, name in ipairs(scripts.names) do
    local expected = lunette.encode(scripts.fold(events,
      self.scripts[name].version))
    local limit = helper.now_ms() + seconds * 1000
    local found, why
    repeat
      found, why = self:models(name)
      found = found and lunette.encode(found)
    until found == expected or helper.now_ms() > limit
    if found ~= expected then
      self:fail(("%s after %d events:\nexpected %s\nfound    %s"):format(name,
        #events, expected, found or why))
    end
  end
  return #events
end

-- Everything is ended; an engine by a signal it obeys.
function world:close()
  for slot in pairs(self.engines) do
    self:stop_engine(slot)
  end
  helper.wait(function()
    self:look_after()
    return #self.ending == 0
  end, 30)
end

-- Also after an error.
function world:abandon()
  for _, list in ipairs { self.engines, self.ending, self.commands,
    self.writers } do
    for _, process in pairs(list) do
      kill(process)
    end
  end
  if self.held then
    pcall(self.held.stop, self.held)
  end
end

return world
