-- Who holds back events that can be seen already, in words for an operator.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local lunette = require "lunette"
local event_store = require "event_store_test"
local pg_session = require "pg_session"
local gap_layouts = require "spec.stores.postgres.events.gap_layouts"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

describe("what holds a postgres event store back #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local database

  before_each(function()
    database = fixture.database
  end)

  local function open(query, user)
    return assert(fixture.open(query, user))
  end

  local function session(url)
    return fixture.keep(pg_session.open(url or database.url))
  end

  local function append(store)
    assert(store:append { { stream = "a", type = "T", data = "1" } })
  end

  describe("in the order of transactions", function()
    it("is the oldest transaction, in whatever database", function()
      local store, other = open(), server:new_database()
      local early = session(other.url .. "&application_name=night%20run")
      early:run "CREATE TABLE junk (x int)"
      early:run "BEGIN"
      early:run "INSERT  INTO junk\n VALUES (1)"
      append(store)
      local page = assert(store:read {})
      assert.equal(0, #page)
      assert.is_true(page.held)
      local words = store:held_by(page.state)
      assert.matches("^transaction %d+ of postgres %(pid %d+, night run, "
        .. "database " .. other.name .. "%), open for %d+ s, "
        .. "idle in transaction: INSERT INTO junk VALUES %(1%)$", words)
      early:run "COMMIT"
      page = assert(store:read {})
      assert.equal(1, #page)
      assert.is_nil(page.held)
    end)

    it("is told as far as a role may see it", function()
      local store = open()
      append(store)
      database:sql [[
        DROP ROLE IF EXISTS looker;
        CREATE ROLE looker LOGIN;
        GRANT SELECT ON lunette_events, lunette_event_store TO looker]]
      local early = session()
      early:run "BEGIN"
      early:run "CREATE TABLE junk (x int)"
      append(store)
      local looker = open(nil, "looker")
      local page = assert(looker:read {})
      assert.is_true(page.held)
      local words = looker:held_by(page.state)
      assert.matches("^transaction %d+ of postgres %(pid %d+", words)
      assert.matches("shown to members of pg_read_all_stats", words, 1, true)
      early:run "ROLLBACK"
      database:sql "DROP OWNED BY looker; DROP ROLE looker"
    end)

    it("may be prepared", function()
      local own = assert(postgres.own {
        settings = { max_prepared_transactions = "4" },
      })
      local place = own:new_database()
      local store = fixture.keep(assert(event_store.open(place.url)))
      local early = session(place.url)
      early:run "CREATE TABLE junk (x int)"
      early:run "BEGIN"
      early:run "INSERT INTO junk VALUES (1)"
      early:run "PREPARE TRANSACTION 'left behind'"
      append(store)
      local page = assert(store:read {})
      assert.matches("^transaction %d+ of postgres %(prepared as left behind, "
        .. "database " .. place.name .. "%).*ROLLBACK PREPARED",
        store:held_by(page.state))
      early:run "ROLLBACK PREPARED 'left behind'"
      assert.equal(1, #assert(store:read {}))
      store:close()
      early:close()
      fixture.opened = {}
      own:stop "immediate"
    end)
  end)

  it("is a writer, where numbers may be missing", function()
    database:sql(gap_layouts.eventuous.schema)
    local insert = [[
      INSERT INTO eventuous.streams (stream_name, version) VALUES ('%s', 0)
      ON CONFLICT DO NOTHING;
      INSERT INTO eventuous.messages (message_id, message_type, stream_id,
        stream_position, json_data, created)
      SELECT gen_random_uuid(), 'T', stream_id, 0, '{}', now()
      FROM eventuous.streams WHERE stream_name = '%s']]
    local early = session()
    early:run "BEGIN"
    early:run(insert:format("a", "a"))
    database:sql(insert:format("b", "b"))
    local store = open "layout=eventuous"
    local page = assert(store:read {})
    page = assert(store:read { after = page.reached, state = page.state })
    assert.is_true(page.held)
    assert.matches("^a transaction of postgres %(pid %d+, database "
      .. database.name .. "%), open for %d+ s, idle in transaction: ",
      store:held_by(page.state))
    early:run "COMMIT"
    local names = helper.wait(function()
      page = assert(store:read { after = page.reached, state = page.state })
      return #page == 2 and page
    end)
    assert.equal("a", names[1].stream)
  end)

  describe("in the order of times", function()
    local engine

    before_each(function()
      database:sql [[CREATE TABLE outbox (id uuid PRIMARY KEY
        DEFAULT gen_random_uuid(), aggregatetype text DEFAULT 'Order',
        aggregateid text DEFAULT 'o1', type text DEFAULT 'T', payload jsonb,
        timestamp timestamptz DEFAULT clock_timestamp())]]
      engine = assert(lunette.open {
        events = database:with "layout=outbox&grace_ms=0", models = "memory:",
      })
      fixture.keep(engine)
      assert(engine:register { source = [[return { name = "orders",
        version = 1, extract_model_id = function(e) return e.stream end,
        apply_to_model = function() return {} end }]] })
      assert(engine:pause "orders") -- so that there is a checkpoint
      assert(engine:resume "orders")
    end)

    local function is_held_by(words)
      local store = open "layout=outbox&grace_ms=0"
      local page = assert(store:read {})
      assert.is_true(page.held)
      assert.matches(words, store:held_by(page.state))
      local gaps = assert(engine:gaps "orders")
      assert.equal(1, #gaps)
      assert.same({ "held", 1 }, { gaps[1].state, gaps[1].numbers })
      assert.equal(gaps[1].from, gaps[1].to)
      assert.matches(words, gaps[1].reason)
    end

    it("is a writer", function()
      local early = session()
      early:run "BEGIN"
      early:run "INSERT INTO outbox DEFAULT VALUES"
      database:sql "INSERT INTO outbox DEFAULT VALUES"
      is_held_by("^a transaction of postgres %(pid %d+, database "
        .. database.name .. "%), open for %d+ s, idle in transaction: ")
      early:run "COMMIT"
      assert(engine:run_once())
      assert.same({}, engine:gaps "orders")
    end)

    it("is the time of an event that is still to come", function()
      database:sql [[INSERT INTO outbox (timestamp)
        VALUES (now() + interval '1 day')]]
      is_held_by "^the time of the last event, which lies 8%d+ s ahead of the "
    end)
  end)
end)
