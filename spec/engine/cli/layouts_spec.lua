-- The tables of others that can be read, and the index that they may lack.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"
local layouts = require "spec.stores.postgres.events.layouts"

local server, reason = postgres.start()

describe("lunette layouts", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  it("lists them, without a store", function()
    place.env.LUNETTE_EVENTS = nil
    local text = place:done { "layouts" }
    assert.matches("emmett +postgres +emt_messages +transaction_id, "
      .. "global_position\n", text)
    assert.matches("emmett +sqlite +emt_messages +global_position\n", text)
    assert.matches("\ncustom ", text)
    local json = place:done { "layouts", "--json" }
    assert.truthy(json:find('{"layout":"marten","store":"postgres",'
      .. '"table":"mt_events","order":"seq_id"}', 1, true))
  end)

  it("takes a name for an index only", function()
    local code, _, err = place:run { "layouts", "emmett" }
    assert.equal(2, code)
    assert.matches("named with %-%-sql", err)
  end)

  it("says of SQLite that no index is missing", function()
    place:count("a", 1)
    assert.equal("-- No index is missing: sqlite keeps its events in their "
      .. "order.\n", place:done { "layouts", "--sql" })
  end)

  describe("in PostgreSQL #postgres", function()
    if not server then
      pending(reason)
      return
    end

    local database

    before_each(function()
      database = server:new_database()
    end)

    local function sql_of(name, query)
      return place:done { "layouts", name, "--sql", "-e",
        database:with(query) }
    end

    -- As an operator would.
    local function run(text)
      local code, _, err = helper.run({
        server.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.dir,
        "-U", server.user, "-d", database.name, "-f", "-",
      }, { stdin = text })
      assert.equal(0, code, err)
    end

    local function plan(table, order)
      return database:sql(([[
        ANALYZE; EXPLAIN SELECT * FROM %s WHERE (%s) > (%s)
        ORDER BY %s LIMIT 100]]):format(table, order,
        order:find "," and "'0', 0" or "0", order))
    end

    it("prints one for each partition that lacks it", function()
      database:sql((layouts.emmett.schema:gsub("CREATE INDEX[^;]*;", "")))
      database:sql [[
        INSERT INTO emt_messages (stream_id, stream_position, transaction_id,
          message_schema_version, message_id, message_type, message_data,
          message_metadata)
        SELECT 's', n, (n / 50 + 3)::text::xid8, '1', n, 'T', '{}', '{}'
        FROM generate_series(1, 20000) n]]
      local order = "transaction_id, global_position"
      assert.truthy(plan("emt_messages", order):find("Sort  (", 1, true))
      local text = sql_of "emmett"
      assert.matches("^%-%- No index leads through ", text)
      assert.truthy(text:find('CREATE INDEX CONCURRENTLY ON '
        .. 'public.emt_messages_active ("transaction_id", '
        .. '"global_position");\n', 1, true))
      run(text)
      assert.is_nil(plan("emt_messages", order):find("Sort  (", 1, true))
      assert.equal('-- No index is missing: one leads through '
        .. '"public"."emt_messages" in its order.\n',
        sql_of("emmett", "layout=emmett"))
      assert.equal("0", database:sql
        "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    end)

    it("knows names of the URL's own, whatever they are", function()
      database:sql [[
        CREATE TABLE "the ""log
        of"" it" ("at ""last""" bigserial, id text PRIMARY KEY, s text, t text,
          d json);
        INSERT INTO "the ""log
        of"" it" (id, s, t, d)
        SELECT n, 's', 'T', '{}' FROM generate_series(1, 20000) n]]
      local query = "layout=custom&table=the%20%22log%0A        of%22%20it"
        .. "&position=at%20%22last%22&id=id&stream=s&type=t&data=d"
        .. "&safe_head=serialised"
      local text = sql_of("custom", query:gsub("        ",
        ("%%20"):rep(8)))
      run(text)
      assert.is_nil(plan([["the ""log
        of"" it"]], [["at ""last"""]]):find("Sort  (", 1, true))
    end)

    it("takes one for enough that begins with the layout's part", function()
      database:sql(layouts.commanded.schema)
      assert.matches("^%-%- No index is missing", sql_of "commanded")
      place:counter()
      local engine = place:start("counter",
        { "-e", database:with "layout=commanded" })
      assert.is_nil(engine:stderr():find("no index", 1, true))
      engine:kill "TERM"
      engine:wait()
    end)

    it("makes none on a view", function()
      database:sql [[
        CREATE TABLE log (pos bigserial PRIMARY KEY, id text, s text, t text,
          d json);
        CREATE VIEW events AS SELECT * FROM log]]
      assert.matches('"public"."events" is a view', (sql_of("custom",
        "layout=custom&table=events&position=pos&id=id&stream=s&type=t"
        .. "&data=d&safe_head=serialised")))
    end)

    it("is not asked about another layout than the URL's", function()
      local code, _, err = place:run { "layouts", "marten", "--sql", "-e",
        database:with "layout=emmett" }
      assert.equal(2, code)
      assert.matches("layout=emmett, not marten", err)
    end)
  end)
end)
