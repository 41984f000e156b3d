-- Tables whose columns the URL names: custom, and outboxes.

local helper = require "spec.helper"
local lunette = require "lunette"
local pg_session = require "pg_session"
local postgres = require "spec.postgres_server"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

describe("a table whose columns the URL names #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local open, database = fixture.open, nil

  before_each(function()
    database = fixture.database
  end)

  local function session()
    return fixture.keep(pg_session.open(database.url))
  end

  local function refused(query, pattern)
    local store, message, code = open(query)
    assert.is_nil(store)
    assert.equal("config", code)
    assert.matches(pattern, message)
  end

  local function column(events, name)
    local values = {}
    for i, found in ipairs(events) do
      values[i] = found[name]
    end
    return values
  end

  -- Reads on as an engine does, until the events of these ids were read.
  local function reader(query, request)
    local store = assert(open(query))
    request = request or { max = 100 }
    local function read()
      local page = assert(store:read(request))
      request.after, request.state = page.reached, page.state
      return table.concat(column(page, "id"), " ")
    end
    local function read_until(ids)
      local found = {}
      helper.wait(function()
        local more = read()
        if more ~= "" then
          found[#found + 1] = more
        end
        return table.concat(found, " ") == ids
      end)
    end
    return read_until, read, request
  end

  local custom = "layout=custom&table=log&position=no&id=key&stream=owner"
    .. "&type=kind&data=body&safe_head=serialised"

  describe("as custom", function()
    local function make(columns)
      database:sql("CREATE TABLE log (no bigint PRIMARY KEY, key text, "
        .. "owner text, kind text, body json" .. (columns or "") .. ")")
    end

    it("has a tenant, where a column is named", function()
      make ", area varchar"
      database:sql [[INSERT INTO log VALUES (1, 'a', 's', 'T', '1', 'acme'),
        (2, 'b', 's', 'T', '2', NULL), (3, 'c', 's', 'T', '3', 'globex')]]
      local page = assert(assert(open(custom .. "&tenant=area")):read {})
      assert.same({ "acme", "globex" },
        { page[1].tenant, page[3].tenant })
      assert.is_nil(page[2].tenant)
      assert.equal(2, page.tenants_from)
    end)

    it("has streams of several columns, of which no two are one", function()
      make ", number int"
      database:sql [[INSERT INTO log VALUES
        (1, 'a', 'Order', 'T', '1', 7), (2, 'b', 'a-b', 'T', '2', 3),
        (3, 'c', 'a', 'T', '3', -3), (4, 'd', '50%', 'T', '3', 1)]]
      local store =
        assert(open((custom:gsub("stream=owner", "stream=owner,number"))))
      local page = assert(store:read {})
      assert.same({ "Order-7", "a%2Db-3", "a--3", "50%25-1" },
        column(page, "stream"))
      for i, event in ipairs(page) do
        local one = assert(store:read { stream = event.stream })
        assert.same({ page[i].id }, column(one, "id"))
      end
    end)

    it("is narrowed to the rows where a column has a value", function()
      make ", kept boolean, grade char(3)"
      database:sql [[INSERT INTO log VALUES
        (1, 'a', 's', 'E', '1', true, 'x'), (2, 'b', 's', 'C', '2', true, 'y'),
        (3, 'c', 's', 'E', '3', false, 'x'),
        (4, 'd', 's', 'e', '3', NULL, NULL)]]
      local expected = { ["kind:E"] = "a c", ["kept:true"] = "a b",
        ["grade:x"] = "a c", ["kind:"] = "" }
      local identities = {}
      for where, ids in pairs(expected) do
        local store = assert(open(custom .. "&where=" .. where))
        local page = assert(store:read {})
        assert.equal(ids, table.concat(column(page, "id"), " "))
        assert.is_nil(identities[store:identity()])
        identities[store:identity()] = true
      end
      refused(custom .. "&where=kept:yes", "not how a value of the type bool")
      refused(custom .. "&where=no:many", "not how a value of the type bigint")
      refused(custom .. "&where=grade:wxyz", "type character%(3%)")
      refused(custom .. "&where=kint:E", 'has no column "kint"')
      refused(custom .. "&where=kind", "where=kind: write where=COLUMN:VALUE")
      refused((custom:gsub("serialised", "gasp")),
        "write transactions, serialised, gaps or window")
    end)

    it("counts the versions of rows that are not meant", function()
      make ", n int"
      database:sql [[INSERT INTO log VALUES (1, 'a', 's', 'E', '1', 1),
        (2, 'b', 's', 'C', '2', 2), (3, 'c', 's', 'E', '3', 3)]]
      local store = assert(open(custom .. "&version=n&where=kind:E"))
      assert.same({ "a", "c" }, column(assert(store:read {}), "id"))
      assert.same({ "a", "c" },
        column(assert(store:read { types = { "E", "C" } }), "id"))
    end)

    it("takes no row that is not meant for a gap", function()
      database:sql [[CREATE TABLE log (no bigserial PRIMARY KEY, key text,
          owner text, kind text, body json);
        INSERT INTO log (key, owner, kind, body) VALUES
          ('a', 's', 'E', '1'), ('b', 's', 'C', '2'), ('c', 's', 'E', '3')]]
      local read_until, _, request = reader(custom:gsub("serialised", "gaps")
        .. "&where=kind:E&grace_ms=0")
      read_until "a c"
      assert.is_nil(request.state:find "%[3,3,") -- the number 2
    end)

    it("is read by numbers that are numeric", function()
      database:sql [[CREATE TABLE log (no numeric(20,0) PRIMARY KEY, key text,
          owner text, kind text, body json);
        INSERT INTO log VALUES (7, 'a', 's', 'T', '1'),
          (30, 'b', 's', 'T', '2')]]
      local store = assert(open(custom))
      local page = assert(store:read { max = 1 })
      assert.equal("7", page.reached)
      page = assert(store:read { after = page.reached, state = page.state })
      assert.same({ "30" }, column(page, "position"))
      assert.equal("30", store:head())
      assert.equal("30", store:find "b")
      assert.equal(1, store:lag({ after = "7" }).events)
      assert.equal(2, #assert(store:read { types = { "T" } }))
      for _, far in ipairs { "'NaN'", "9223372036854775808" } do
        database:sql("INSERT INTO log VALUES (" .. far .. ", 'c')")
        refused(custom, "behind the last position .*, at "
          .. far:gsub("'", "") .. ": positions end at 9223372036854775807")
        database:sql "DELETE FROM log WHERE key = 'c'"
      end
      database:sql "ALTER TABLE log ALTER no TYPE numeric"
      refused(custom, 'the position "no" of "log" may have fractions: let it '
        .. "be a numeric%(20,0%)")
    end)

    it("is read by numbers that are small", function()
      database:sql [[CREATE TABLE log (no smallserial PRIMARY KEY, key text,
          owner text, kind text, body json);
        INSERT INTO log (key, owner, kind, body) VALUES
          ('a', 's', 'T', '1'), ('b', 's', 'T', '2')]]
      assert.same({ "1", "2" },
        column(assert(assert(open(custom)):read {}), "position"))
    end)

    for _, kind in ipairs { "timestamptz", "timestamp" } do
      it("is read by times, and keys, of type " .. kind, function()
        database:sql(([[CREATE TABLE log (no %s, key text PRIMARY KEY,
            owner text, kind text, body json);
          INSERT INTO log VALUES
            ('2026-01-02 03:04:05.000006Z', 'a', 's', 'T', '1'),
            ('2026-01-02 03:04:05.000007Z', 'b', 's', 'T', '2'),
            ('2026-01-02 03:04:05.000007Z', 'c', 's', 'T', '3'),
            ('1969-12-31 23:59:59Z', 'd', 's', 'T', '4')]]):format(kind))
        local store = assert(open(custom))
        local all = assert(store:read {})
        assert.same({ "d", "a" }, { all[1].id, all[2].id })
        local times = {}
        for i, event in ipairs(all) do
          times[i] = event.position:match "^(.*)/%x+$"
          assert.equal(event.position, store:parse(event.position))
          assert.equal(event.position, store:find(event.id))
          local rest = assert(store:read { after = event.position })
          assert.equal(4 - i, #rest)
        end
        assert.same({ "1969-12-31T23:59:59.000000Z",
          "2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05.000007Z",
          "2026-01-02T03:04:05.000007Z" }, times)
        assert.equal(2, #assert(
          store:read { after = "2026-01-02T03:04:05.000007Z" }))
        assert.equal("start", store:parse "start")
        assert.equal(4, #assert(store:read { after = "start" }))
        for _, text in ipairs { "", "1", "2026", times[1] .. "/",
          times[1] .. "/00", times[1] .. "/" .. ("x"):rep(16) } do
          assert.is_nil((store:parse(text)))
        end
        database:sql "INSERT INTO log VALUES (now(), 'e', 's', 'T', '1')"
        for _, time in ipairs { "infinity", "-infinity", "10000-01-01Z",
          "0044-03-15 BC" } do
          database:sql("UPDATE log SET no = '" .. time .. "' WHERE key = 'e'")
          refused(custom, "has an event at no time in the years 1 to 9999: e; "
            .. "correct")
        end
      end)
    end

    it("is read by times only in a way that they can prove", function()
      database:sql [[CREATE TABLE log (no timestamptz, key text PRIMARY KEY,
        owner text, kind text, body json, xact xid8)]]
      refused((custom:gsub("serialised", "gaps")), "safe_head=gaps needs")
      refused(custom:gsub("serialised", "transactions")
        .. "&transaction_id=xact", "safe_head=transactions needs")
      assert(open((custom:gsub("serialised", "window"))))
      database:sql "ALTER TABLE log DROP CONSTRAINT log_pkey"
      refused(custom, "no unique index")
    end)

    it("waits for who is writing, and finds who is late for all that",
      function()
        database:sql [[CREATE TABLE log (no timestamptz
            DEFAULT clock_timestamp(), key text PRIMARY KEY, owner text
            DEFAULT 's', kind text DEFAULT 'T', body json DEFAULT '1')]]
        local early, late = session(), session()
        local read_until, read =
          reader(custom:gsub("serialised", "window") .. "&grace_ms=0")
        early:run "BEGIN"
        early:run "INSERT INTO log (key) VALUES ('early')"
        late:run "INSERT INTO log (key) VALUES ('second')"
        assert.equal("", read())
        assert.equal("", read())
        early:run "COMMIT"
        read_until "early second"
        late:run [[INSERT INTO log (no, key)
          SELECT min(no) + interval '1 us', 'between' FROM log]]
        read_until "between"
        assert.equal("", read())
      end)

    it("may have any name, and so may its schema", function()
      local schema, name = 'a "b".c', "l;o'g. é%"
      local function quoted(text)
        return '"' .. text:gsub('"', '""') .. '"'
      end
      local function encoded(text)
        return (text:gsub("[^%w]", function(c)
          return ("%%%02X"):format(c:byte())
        end))
      end
      database:sql(("CREATE SCHEMA %s; CREATE TABLE %s.%s (%s bigserial "
        .. "PRIMARY KEY, %s text, %s text, kind text, body json); INSERT INTO "
        .. "%s.%s VALUES (1, 'a', 's', 'T', '1')"):format(quoted(schema),
        quoted(schema), quoted(name), quoted 'n o"', quoted "k.ey",
        quoted "o''n", quoted(schema), quoted(name)))
      for _, way in ipairs { "serialised", "gaps&grace_ms=0" } do
        local store = assert(open("layout=custom&schema=" .. encoded(schema)
          .. "&table=" .. encoded(name) .. "&position=" .. encoded 'n o"'
          .. "&id=" .. encoded "k.ey" .. "&stream=" .. encoded "o''n"
          .. "&type=kind&data=body&safe_head=" .. way))
        local page = assert(store:read {})
        assert.same({ "a" }, column(page, "id"))
        assert.equal("1", store:find "a")
        assert(store:read { after = page.reached, state = page.state })
      end
      database:sql [[CREATE TABLE "b.log" (no bigint PRIMARY KEY, key text,
          owner text, kind text, body json);
        CREATE SCHEMA "public.b"; CREATE TABLE "public.b".log (no bigint
          PRIMARY KEY, key text, owner text, kind text, body json)]]
      local one = assert(open((custom:gsub("table=log", "table=b.log"))))
      local two = assert(open(custom .. "&schema=public.b"))
      assert.are_not.equal(one:identity(), two:identity())
      refused("layout=custom&table=a%00b", "table= in the URL has a NUL byte")
    end)
  end)

  describe("as an outbox", function()
    local function make(id, more)
      database:sql(([[CREATE TABLE outbox (id %s PRIMARY KEY,
        aggregatetype varchar(255) NOT NULL DEFAULT 'Order',
        aggregateid varchar(255) NOT NULL DEFAULT 'o1',
        type varchar(255) NOT NULL DEFAULT 'Placed',
        payload jsonb DEFAULT '{"n":1}'%s)]]):format(id, more or ""))
    end

    it("is read by the columns of Debezium, in the order of numbers",
      function()
        make "bigserial"
        database:sql "INSERT INTO outbox DEFAULT VALUES"
        local store = assert(open "layout=outbox")
        local page, request = nil, {}
        helper.wait(function()
          page = assert(store:read(request))
          request.state = page.state
          return #page > 0
        end)
        assert.same({
          id = "1", position = "1", stream = "Order-o1", type = "Placed",
          version = 0, data = '{"n": 1}', recorded_at = page[1].recorded_at,
        }, page[1])
      end)

    it("goes on where rows were delivered and deleted", function()
      make "bigserial"
      local read_until, read = reader "layout=outbox&grace_ms=0"
      for round = 1, 3 do
        database:sql "INSERT INTO outbox DEFAULT VALUES"
        read_until(tostring(round))
        database:sql "DELETE FROM outbox"
        assert.equal("", read())
      end
      database:sql [[INSERT INTO outbox DEFAULT VALUES;
        DELETE FROM outbox; INSERT INTO outbox DEFAULT VALUES]]
      read_until "5"
    end)

    it("stops where the numbers of rows that are gone begin anew", function()
      make "bigserial"
      for _, more in ipairs { "", "&safe_head=serialised" } do
        database:sql "TRUNCATE outbox RESTART IDENTITY"
        local query = "layout=outbox&grace_ms=0" .. more
        local read_until, read = reader(query)
        database:sql [[INSERT INTO outbox DEFAULT VALUES;
          INSERT INTO outbox DEFAULT VALUES]]
        read_until "1 2"
        database:sql "TRUNCATE outbox RESTART IDENTITY"
        assert.equal("", read())
        database:sql "INSERT INTO outbox DEFAULT VALUES"
        local ok, message = pcall(read)
        assert.is_false(ok)
        assert.matches("the numbers of \"outbox\" began anew", message, 1, true)
        assert.matches("rows up to position 2 were read", message, 1, true)
      end
    end)

    it("is read by time and key, where keys are UUIDs", function()
      make("uuid", ", timestamp timestamp NOT NULL "
        .. "DEFAULT (clock_timestamp() AT TIME ZONE 'utc')")
      local read_until, read = reader "layout=outbox&grace_ms=0"
      local ids = {}
      for i = 1, 5 do
        ids[i] = ("00000000-0000-4000-8000-%012d"):format(6 - i)
        database:sql(("INSERT INTO outbox (id) VALUES ('%s')"):format(ids[i]))
      end
      read_until(table.concat(ids, " "))
      database:sql "DELETE FROM outbox"
      assert.equal("", read())
      local more = "00000000-0000-4000-8000-000000000009"
      database:sql(("INSERT INTO outbox (id) VALUES ('%s')"):format(more))
      read_until(more)
    end)

    it("gives each of many events of one moment once, in any page size",
      function()
        make("uuid", ", made timestamptz NOT NULL DEFAULT now()")
        database:sql [[INSERT INTO outbox (id)
          SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
          FROM generate_series(1, 100) n]]
        for _, max in ipairs { 1, 7, 99, 1000 } do
          local _, read = reader("layout=outbox&position=made&grace_ms=0",
            { max = max })
          local seen, count = {}, 0
          helper.wait(function()
            for id in read():gmatch "%S+" do
              assert.is_nil(seen[id])
              seen[id], count = true, count + 1
            end
            return count == 100
          end)
          assert.equal("", read())
        end
      end)

    it("asks what to order by where nothing says so", function()
      make "uuid"
      refused("layout=outbox", "name a column with position=")
      refused("layout=outbox&table=nothing", 'no table "nothing"')
    end)

    it("says that deleted rows are lost", function()
      make "bigserial"
      assert.matches("deleted before they were read are lost",
        assert(open "layout=outbox"):remark())
    end)

    it("says which index its order takes", function()
      make("uuid", ', "at ""last""" timestamptz NOT NULL')
      assert.matches('CREATE INDEX ON it ("at ""last""")',
        assert(open "layout=outbox&position=at%20%22last%22"):remark(), 1, true)
      database:sql [[CREATE INDEX ON outbox ("at ""last""")]]
      assert.is_nil(assert(open "layout=outbox&position=at%20%22last%22")
        :remark():find "CREATE INDEX")
    end)

    it("is applied by an engine beside its relay", function()
      make "bigserial"
      local engine = assert(lunette.open {
        events = database:with "layout=outbox", models = "memory:",
      })
      fixture.keep(engine)
      assert(engine:register { source = [[return { name = "orders",
        version = 1, extract_model_id = function(e) return e.stream end,
        apply_to_model = function(m, e)
          return { n = (m and m.n or 0) + e.data.n }
        end }]] })
      for round = 1, 3 do
        database:sql "INSERT INTO outbox DEFAULT VALUES"
        assert(engine:run_once())
        assert.equal(round, engine:get("orders", "Order-o1").n)
        database:sql "DELETE FROM outbox"
        assert(engine:run_once())
      end
    end)
  end)
end)
