-- A projection that is to join the others further on, and is held back before
-- that: it waits for the writer, and does not look all the time.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"
local late_log = require "spec.stores.postgres.events.late_log"

local kind = late_log.kinds.marten

local script = [[
return {
  name = "NAME",
  version = 1,
  fields = { last = "integer" },
  extract_model_id = function() return "all" end,
  apply_to_model = function(model, event)
    return { last = event.version }
  end,
}
]]

describe("a projection that cannot join yet #threads #postgres", function()
  local server, reason = postgres.start()
  if not server then
    pending(reason)
    return
  end

  local place, database, writer, running

  before_each(function()
    place = workplace.new()
    database = server:new_database()
    database:sql(kind.schema)
    writer = pg_session.open(database.url)
    place.env.LUNETTE_EVENTS = database:with(kind.query)
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place.env.LUNETTE_POLL_MS = "2000"
  end)

  after_each(function()
    running:kill "TERM"
    running:wait()
    writer:close()
  end)

  local function add_projection(name)
    place:write("projections/" .. name .. ".lua",
      (script:gsub("NAME", name)))
  end

  local function insert(version)
    database:sql(late_log.fill(kind.insert, database:sql(kind.early), "s",
      version, "A"))
  end

  local function wait_for_model(name, last)
    helper.wait(function()
      local code, out = place:run { "get", name, "all", "--json" }
      return code == 0 and out:find('"last":' .. last, 1, true)
    end)
  end

  local function last_look()
    return database:sql [[
      SELECT max(query_start) FROM pg_stat_activity
      WHERE application_name = 'lunette' AND datname = current_database()]]
  end

  it("looks more and more seldom, and goes on after that", function()
    insert(1)
    database:sql(kind.early) -- of an event that never comes
    insert(2)
    add_projection "first"
    running = place:spawn { "run" }
    wait_for_model("first", 2)
    writer:run "BEGIN"
    writer:run(kind.early)
    add_projection "second"
    wait_for_model("second", 1)
    helper.wait(function()
      local before = last_look()
      for _ = 1, 8 do
        if last_look() ~= before then
          return false
        end
      end
      return true
    end)
    writer:run "ROLLBACK"
    wait_for_model("second", 2)
  end)
end)
