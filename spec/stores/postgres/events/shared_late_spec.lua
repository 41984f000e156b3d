-- An event that came later than the window, to a reading that is shared: those
-- who may have had it before are not given it again.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local subscription = require "subscription_test"
local gap_layouts = require "spec.stores.postgres.events.gap_layouts"

local server, reason = postgres.start()

describe("a shared reading with a window #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local database, url, tail, store

  before_each(function()
    database = server:new_database()
    database:sql(gap_layouts.eventcore.schema)
    url = database:with "layout=eventcore&unwrap=no&grace_ms=0&window_ms=80"
    tail = subscription.open(url, {})
    store = assert(event_store.open(url))
  end)

  after_each(function()
    store:close()
    tail:close()
  end)

  local function new_id()
    return database:sql "SELECT uuid_v7(gen_random_uuid()::text)"
  end

  local function insert(id, stream, version)
    database:sql(([[
      INSERT INTO eventcore_events
        (event_id, stream_id, stream_version, event_type, event_data)
      VALUES ('%s', '%s', %d, 'T', '"%s %d"')]]):format(id, stream, version,
      stream, version))
  end

  local function take(one, page)
    for _, event in ipairs(page) do
      one.seen[#one.seen + 1] =
        (type(event) == "table" and event.data or event):gsub('"', "")
    end
    one.position, one.state = page.reached, page.state
  end

  local function read(one)
    take(one, assert(store:read {
      after = one.position, state = one.state,
    }))
  end

  local function new_reader()
    return { handle = tail:subscriber(), seen = {} }
  end

  local function join(one)
    return one.handle:join {
      position = one.position, state = one.state, at_head = true,
    }
  end

  local function follow_until(one, last)
    helper.wait(function()
      local page, why = one.handle:next(one.state)
      assert(page or why == "nothing", why)
      if page then
        take(one, page)
      end
      return one.seen[#one.seen] == last
    end)
  end

  it("gives it to whom it was not given, and to nobody else", function()
    local first, second = new_reader(), new_reader()
    insert(new_id(), "s", 1)
    helper.wait(function()
      read(first)
      return #first.seen == 1
    end)
    assert.equal("joined", join(first))
    insert(new_id(), "s", 2)
    follow_until(first, "s 2")
    local early = new_id()
    insert(new_id(), "other", 1)
    follow_until(first, "other 1")
    -- Until the window has passed over that id.
    local passed = helper.now_ms() + 200
    helper.wait(function()
      return helper.now_ms() > passed
    end)
    insert(early, "s", 3)
    helper.wait(function()
      read(second)
      return second.seen[4] == "other 1"
    end)
    assert.same({ "s 1", "s 2", "s 3", "other 1" }, second.seen)
    helper.wait(function()
      read(second)
      return join(second) == "joined"
    end)
    insert(new_id(), "s", 4)
    follow_until(first, "s 4")
    assert.same({ "s 1", "s 2", "other 1", "s 3", "s 4" }, first.seen)
    helper.wait(function()
      local page, why = second.handle:next(second.state)
      if page then
        take(second, page)
      end
      return why == "left"
    end)
    helper.wait(function()
      read(second)
      return second.seen[#second.seen] == "s 4"
    end)
    assert.same({ "s 1", "s 2", "s 3", "other 1", "s 4" }, second.seen)
    first.handle:close()
    second.handle:close()
  end)
end)
