-- No event is skipped and none comes twice, whatever the order in which the
-- writers commit: the store by itself, without an engine. The long run, with
-- `lunette run` killed meanwhile, is spec/engine/cli/postgres_kill_spec.lua.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local layouts = require "spec.stores.postgres.events.layouts"
local pg_writer = require "pg_writer"

local server, reason = postgres.start()
local seed = helper.seed(1)

-- Reads to the head again and again while sixteen writers write for so many
-- seconds, and once more after their end. What was committed, and how often
-- each event was read.
local function race(url, conninfo, layout, seconds)
  local store = assert(event_store.open(url))
  local seen, request = {}, { max = 200 }
  local function read_to_head()
    local page
    repeat
      page = assert(store:read(request))
      for _, event in ipairs(page) do
        local id = layout.id and layout.id(event) or event.id
        seen[id] = (seen[id] or 0) + 1
      end
      request.after, request.state = page.reached, page.state
    until page.at_head
  end

  local writers = pg_writer.start(conninfo, layout.append, {
    writers = 16, hold_ms = 500, first_version = layout.first_version,
    seed = seed,
  })
  local limit = helper.now_ms() + seconds * 1000
  while helper.now_ms() < limit do
    read_to_head()
  end
  local committed = writers:stop()
  read_to_head()
  store:close()
  return committed, seen
end

-- How many were never read, and how many more than once or for nothing.
local function compare(committed, seen)
  local missed, doubled = 0, 0
  for _, id in ipairs(committed) do
    if not seen[id] then
      missed = missed + 1
    elseif seen[id] > 1 then
      doubled = doubled + 1
    end
    seen[id] = nil
  end
  for _ in pairs(seen) do
    doubled = doubled + 1
  end
  return missed, doubled
end

local function make(name)
  local database = server:new_database()
  if name == "lunette" then
    assert(event_store.open(database.url)):close()
  else
    database:sql(layouts[name].schema)
  end
  local query = "layout=" .. name
  if layouts[name].query then
    query = query .. "&" .. layouts[name].query
  end
  return database, database:with(query)
end

describe("a postgres event store with sixteen writers #postgres #slow, seed "
  .. seed, function()
    if not server then
      pending(reason)
      return
    end

    local seconds = {
      lunette = 5,
      emmett = 5,
      ["message-db"] = 3,
      commanded = 3,
      eventsourcing = 3,
    }
    for name, length in pairs(seconds) do
      it("gives every event of " .. name .. " exactly once", function()
        local database, url = make(name)
        local committed, seen =
          race(url, database.url, layouts[name], length)
        assert.is_true(#committed > 10, #committed)
        local missed, doubled = compare(committed, seen)
        assert.equal(0, missed)
        assert.equal(0, doubled)
      end)
    end

    -- The check is known to bite: the same events by their plain number, and
    -- without their versions, which would show what is missing.
    it("loses some where nothing keeps it from reading too far", function()
      local database = make "lunette"
      local url = database:with("layout=custom&table=lunette_events"
        .. "&position=position&id=id&stream=stream"
        .. "&type=type&data=data&safe_head=serialised")
      local committed, seen = race(url, database.url, layouts.lunette, 4)
      local missed, doubled = compare(committed, seen)
      assert.is_true(missed > 0)
      assert.equal(0, doubled)
    end)
  end)
