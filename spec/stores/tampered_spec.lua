-- Somebody edits the rows of a store. Whatever stands there then, in any
-- column of any table, every call ends, with a result or with an error that
-- can be shown; nothing crashes and nothing hangs.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local postgres = require "spec.postgres_server"

local seed = helper.seed()

local LONGEST_MS = 60000 -- a call that waits gives up after five seconds
local PICKED = { sqlite = 2, postgres = 1 } -- values for each column
local PROCESSES = 6

local script = helper.read_file "spec/stores/look_at_everything.lua"
  :match "script = %[%[(.-)%]%]"

-- A store with events, models, an event that was set aside and whatever else
-- an engine writes down.
local function fill(stores)
  local engine = kit.open(stores)
  for i = 1, 8 do
    assert(engine:append { stream = "s" .. i % 3, type = "T",
      data = { bad = i == 7 or nil }, metadata = { by = "me" } })
  end
  kit.register(engine, script, "tampered.lua")
  assert(engine:run_once())
  kit.close_all()
end

-- Rows of the tables that are empty by then.
local more_rows = [[
INSERT INTO lunette_skipped (projection, build, shard, model_id, error, at,
  position, event_id, stream, version, type, recorded_at, data)
  SELECT projection, build, shard, model_id, error, at, position, event_id,
    stream, version, type, recorded_at, data FROM lunette_parked;
INSERT INTO lunette_requests (projection, build, shard, kind, argument,
  posted_at) SELECT projection, build, 0, 'retry', '', at
  FROM lunette_parked;
]]

local values = {
  sqlite = {
    "NULL", "''", "'x'", "0", "-1", "99", "1.5", "1e308",
    "9223372036854775807", "-9223372036854775808", "2147483647",
    "4294967296", "x'00fffe'",
    "CAST(x'fffe00' AS TEXT)", "'{\"a\":'", "'[[[1,2],3]]'",
    "hex(zeroblob(100000))", "'field n integer' || char(10)",
    "'0000000000000000ffffffffffffffff'",
  },
  postgres = {
    "NULL", "''", "'x'", "0", "-1", "99", "9223372036854775807",
    "-9223372036854775808", "2147483647", "'\\x00fffe'", "'{\"a\":'",
    "'[[[1,2],3]]'", "repeat('x', 200000)", "'infinity'",
    "E'field n integer\\n'", "'0000000000000000ffffffffffffffff'",
  },
}

-- Statements: every column with some of the values, every table without its
-- rows, every table gone.
local function statements(columns, kind, r)
  local list = {}
  for _, column in ipairs(columns) do
    local offset = r:within(0, #values[kind] - 1)
    for i = 1, PICKED[kind] do
      local value = values[kind][(offset + i * 5) % #values[kind] + 1]
      list[#list + 1] = ("UPDATE %%s%s SET %s = %s"):format(
        column.relation, column.name, value)
    end
    if column.first then
      list[#list + 1] = "DELETE FROM %s" .. column.relation
      list[#list + 1] = "DROP TABLE %s" .. column.relation
    end
  end
  return list
end

-- What some seed broke once; every run looks at these.
local broke_once = {
  ["models.db"] = {
    "UPDATE %slunette_builds SET version = 2147483647",
    "UPDATE %slunette_heartbeats SET at = -9223372036854775808",
    "UPDATE %slunette_parked SET model_id = ''",
    "UPDATE %slunette_checkpoints SET revision = 9223372036854775807",
    "UPDATE %slunette_checkpoints SET revision = 9223372036854775806",
  },
  ["events.db"] = {},
}

local function parse_columns(text)
  local columns, last = {}, nil
  for relation, name in text:gmatch "([^|\n]+)|([^|\n]+)" do
    columns[#columns + 1] = { relation = relation, name = name,
      first = relation ~= last }
    last = relation
  end
  return columns
end

-- What one process says of its trials; the name of the last is the one to
-- look at when it crashed.
local function judge(process, trials)
  local code = process:wait(300000)
  local out = process:stdout()
  local last = out:match ".*begin ([^\n]*)"
  if code ~= 0 then
    process:kill "KILL"
    error(("ended with %s in: %s\n%s"):format(code, last, process:stderr()))
  end
  local ended, name = 0, nil
  for line in out:gmatch "[^\n]+" do
    local word, rest = line:match "^(%S+) (.*)$"
    if word == "begin" then
      name = rest
    elseif word == "error" then
      assert.is_true(utf8.len(rest) ~= nil and #rest > 10, name .. rest)
    else
      ended = ended + 1
      assert.is_true(tonumber(rest:match "%d+$") < LONGEST_MS, rest)
    end
  end
  assert.equal(#trials, ended)
end

-- Have trials ({ name, events, models }) looked at, by several processes: they
-- wait more than they work.
local function look(trials)
  local parts, processes = {}, {}
  for i, trial in ipairs(trials) do
    local part = parts[i % PROCESSES + 1] or {}
    parts[i % PROCESSES + 1] = part
    part[#part + 1] = table.concat(trial, "\t")
  end
  for i, part in ipairs(parts) do
    processes[i] = helper.spawn({ "lua5.4",
      "spec/stores/look_at_everything.lua" }, {
      cwd = helper.root,
      stdin = table.concat(part, "\n") .. "\n",
    })
  end
  for i, process in ipairs(processes) do
    judge(process, parts[i])
  end
end

describe("a store with rows that somebody has edited", function()
  after_each(kit.close_all)

  local function sqlite(file, text)
    local code, out, err = helper.run({ "sqlite3", file }, { stdin = text })
    return out, code ~= 0 and err or nil
  end

  -- Copies of one of the two files, each tampered with by one statement.
  local function tamper(folder, file, r)
    local columns = parse_columns((sqlite(folder .. "/" .. file, [[
      SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name)
        AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
      ORDER BY m.name, c.cid;]])))
    assert.is_true(#columns > 5)
    local other = file == "models.db" and "events.db" or "models.db"
    local untouched = helper.read_file(folder .. "/" .. other)
    local list = statements(columns, "sqlite", r)
    table.move(broke_once[file], 1, #broke_once[file], #list + 1, list)
    local lines, trials = {}, {}
    for i, statement in ipairs(list) do
      local place = folder .. "/" .. i .. "-"
      helper.write_file(place .. other, untouched)
      -- What the table refuses is refused, and the copy is as it was.
      lines[i] = ("VACUUM INTO '%s';\nATTACH '%s' AS t;\n%s;\nDETACH t;")
        :format(place .. file, place .. file,
          statement:gsub("^UPDATE", "UPDATE OR IGNORE"):format "t.")
      trials[i] = { statement:format "", "sqlite:" .. place .. "events.db",
        "sqlite:" .. place .. "models.db" }
    end
    sqlite(folder .. "/" .. file, table.concat(lines, "\n"))
    return trials
  end

  for _, file in ipairs { "models.db", "events.db" } do
    it("answers or says what is wrong, sqlite " .. file .. ", seed " .. seed,
      function()
      local folder = helper.tmpdir()
      fill { events = "sqlite:" .. folder .. "/events.db",
        models = "sqlite:" .. folder .. "/models.db" }
      local _, err = sqlite(folder .. "/models.db", more_rows)
      assert.is_nil(err)
      look(tamper(folder, file, helper.random(seed)))
    end)
  end

  it("answers or says what is wrong #postgres, seed " .. seed, function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end
    local base = server:new_database()
    fill { events = base.url, models = base:with "schema=models" }
    base:sql("SET search_path = models;" .. more_rows)
    local columns = parse_columns(base:sql [[
      SELECT quote_ident(table_schema) || '.' || quote_ident(table_name),
        quote_ident(column_name) FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
      WHERE table_type = 'BASE TABLE'
        AND table_schema IN ('public', 'models') ORDER BY 1, 2]])
    local trials = {}
    for _, statement in ipairs(statements(columns, "postgres",
      helper.random(seed))) do
      local copy = server:new_database("TEMPLATE " .. base.name)
      if pcall(copy.sql, copy, statement:format "") then
        trials[#trials + 1] = { statement:format "", copy.url,
          copy:with "schema=models" }
      end
    end
    assert.is_true(#trials > 20) -- types refuse the others
    look(trials)
  end)
end)
