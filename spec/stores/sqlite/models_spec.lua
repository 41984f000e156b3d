local helper = require "spec.helper"
local event_store = require "event_store_test"
local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"

local function new_path()
  return helper.tmpdir() .. "/models.db"
end

local function open(path, options)
  return kit.open("sqlite:" .. path, options)
end

-- What the sqlite3 shell says to SQL, with its defaults.
local function shell(path, sql)
  local code, output, errors = helper.run({ "sqlite3", path }, { stdin = sql })
  assert(code == 0, errors)
  return (output:gsub("\n$", ""))
end

local PRELUDE = [[
  package.path = "./?.lua;" .. package.path
  local kit = require "spec.stores.model_kit"
  if os.getenv "BECOME" then
    require("event_store_test").become(tonumber(os.getenv "BECOME"))
  end
  local store, message, code = kit.open("sqlite:%s")
  if not store then print(code, message) os.exit(3) end
  %s
]]

-- Lua in a process of its own; `store` is an open store of path.
local function lua_program(path, body)
  return { "lua5.4", "-e", PRELUDE:format(path, body) }
end

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the sqlite model store", function()
  contract(function()
    return assert(open(new_path()))
  end)

  local path, store

  before_each(function()
    path = new_path()
    store = assert(open(path))
  end)

  after_each(function()
    store:close()
  end)

  for _, what in ipairs { "", "-wal", "-shm" } do
    it("commits nothing into a file that is gone: models.db" .. what, function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      os.remove(path .. what)
      fails("config", "models.db" .. what:gsub("%-", "%%-")
        .. " was replaced or removed while it was open: ",
        owner:try_commit { a = { balance = 2 } })
      fails("config", "was replaced or removed", store:connect())
    end)
  end

  it("is not made where it must exist", function()
    local absent = new_path()
    fails("config", "no models yet: .* does not exist: ",
      open(absent, { must_exist = 1 }))
    assert.is_nil(io.open(absent))
    local there = assert(open(path, { must_exist = 1 }))
    assert(there:connect()):close()
    there:close()
  end)

  it("keeps everything over a restart", function()
    local owner = kit.own(store, kit.account_schema())
    owner:commit({ a = { balance = 1 } }, { position = 7,
      parked = { kit.aside(1, "b") }, source_state = "x" })
    local before = owner:checkpoint()
    store:close()
    store = assert(open(path))
    assert.same(before, store:checkpoint "account_summary")
    assert.same({ a = { balance = 1 } }, store:load(owner.schema, { "a" }))
    assert.equal(1, #store:parked "account_summary")
    assert.is_true(assert(store:acquire("account_summary", "me")) > owner.fence)
  end)

  describe("with a write-ahead log", function()
    local owner

    -- So many models written by commits of one each.
    local function commit(count)
      for _ = 1, count do
        local number = owner.revision
        owner:commit({ ["m" .. number] = { owner = ("x"):rep(3000) } },
          { position = number })
      end
    end

    local function reopen(pages)
      store:close()
      store = assert(open(path, { wal_autocheckpoint_pages = pages }))
      owner = kit.own(store, kit.account_schema())
    end

    -- What the file holds by itself, without the log.
    local function copied()
      return math.tointeger(shell("file:" .. path .. "?immutable=1",
        "SELECT count(*) FROM account_summary"))
    end

    it("copies it back when it is long", function()
      reopen(100)
      assert(store:tend() == nil)
      commit(1)
      shell(path, "PRAGMA wal_checkpoint(TRUNCATE)")
      commit(5)
      assert.equal(1, copied())
      commit(60)
      assert.is_true(copied() > 10)
    end)

    it("leaves that to others where it is told to", function()
      reopen(0)
      commit(1)
      shell(path, "PRAGMA wal_checkpoint(TRUNCATE)")
      commit(60)
      store:tend()
      assert.equal(1, copied())
    end)

    it("copies it back early where it is tended", function()
      reopen(1000)
      commit(1)
      shell(path, "PRAGMA wal_checkpoint(TRUNCATE)")
      commit(5)
      store:tend()
      assert.equal(1, copied()) -- not for so little
      commit(60)
      store:tend()
      assert.equal(66, copied())
      commit(1) -- begins the log anew
      assert.equal(66, copied())
      store:tend()
      assert.equal(66, copied())
      commit(60)
      store:tend()
      assert.equal(127, copied())
    end)
  end)

  describe("in the sqlite3 shell", function()
    it("shows the models by the projection's name", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit {
        a = { owner = "Ada", balance = 1050, rate = 2.0, active = true,
          last_activity = { timestamp = 1700000000123456 },
          tags = { json = '["x"]' } },
        b = { owner = "it's" },
      }
      assert.equal("a|1|1050|2023-11-14T22:13:20.123456Z|Ada|2.0|[\"x\"]\n"
        .. "b||||it's||", shell(path, "SELECT * FROM account_summary;"))
      assert.equal("id,active,balance,last_activity,owner,rate,tags",
        shell(path, "SELECT group_concat(name) FROM "
          .. "pragma_table_info('account_summary');"))
      assert.equal("Ada", shell(path,
        "SELECT owner FROM account_summary WHERE balance > 1000;"))
    end)

    it("shows the live build, by name and by version", function()
      local owner = kit.own(store, kit.account_schema())
      local schema = kit.schema { version = 2, fields = { total = "integer" } }
      local second = kit.own(store, schema, { "account_summary", build = 2 })
      second:commit { a = { total = 2 } }
      owner:commit { a = { balance = 1 } }
      assert.equal("account_summary view\naccount_summary__b1 table\n"
        .. "account_summary__b2 table\naccount_summary__v1 view", shell(path,
        "SELECT name || ' ' || type FROM sqlite_schema"
          .. " WHERE type <> 'index' AND name GLOB 'account*' ORDER BY 1;"))
      assert.equal("1|1|2", shell(path, "SELECT a.balance, v.balance, b.total"
        .. " FROM account_summary a, account_summary__v1 v,"
        .. " account_summary__b2 b;"))
      assert(store:reset(schema, owner.revision, owner.fence))
      assert.equal("account_summary view\naccount_summary__b1 table\n"
        .. "account_summary__b2 table\naccount_summary__v2 view", shell(path,
        "SELECT name || ' ' || type FROM sqlite_schema"
          .. " WHERE type <> 'index' AND name GLOB 'account*' ORDER BY 1;"))
    end)

    it("shows keys that are integers, and columns in their order", function()
      local owner = kit.own(store, kit.schema { key = "integer",
        fields = { a = "text", b = "integer", c = "json" },
        order = { "c", "b", "a" } })
      owner:commit { ["10"] = { a = "ten" }, ["9"] = { a = "nine", b = 10 } }
      assert.equal("9||10|nine\n10|||ten",
        shell(path, "SELECT * FROM account_summary ORDER BY id;"))
      assert.equal("id INTEGER,c TEXT,b INTEGER,a TEXT", shell(path,
        "SELECT group_concat(name || ' ' || type) FROM "
          .. "pragma_table_info('account_summary');"))
      assert.equal("nine", shell(path, "SELECT m.a FROM account_summary m "
        .. "JOIN account_summary n ON m.b = n.id;"))
      assert.matches("USING INTEGER PRIMARY KEY %(rowid>%?%)", shell(path,
        "EXPLAIN QUERY PLAN SELECT * FROM account_summary WHERE id > 5;"))
    end)

    it("shows models without fields as json", function()
      local owner = kit.own(store, kit.schema())
      owner:commit { a = { model = { json = '{"n":1}' } } }
      assert.equal('a|{"n":1}', shell(path, "SELECT * FROM account_summary;"))
      assert.equal("1", shell(path,
        "SELECT model ->> 'n' FROM account_summary;"))
    end)

    it("shows indexes by their fields", function()
      kit.own(store, kit.account_schema {
        indexes = { { "balance" }, { "owner", "balance" } } })
      assert.equal("account_summary__b1__balance\n"
        .. "account_summary__b1__owner,balance", shell(path,
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE "
          .. "'account%' ORDER BY name;"))
      assert.matches("USING INDEX account_summary__b1__balance", shell(path,
        "EXPLAIN QUERY PLAN SELECT * FROM account_summary "
          .. "WHERE balance = 5;"))
    end)

    it("leaves nothing of a dropped projection but its numbers", function()
      local owner = kit.own(store, kit.account_schema {
        indexes = { { "balance" } } })
      owner:commit({}, { parked = { kit.aside(1, "a") } })
      shell(path, "CREATE TABLE account_summary__b2 (x);")
      assert(store:drop("account_summary", owner.revision, owner.fence))
      assert.equal("account_summary__b2", shell(path,
        "SELECT name FROM sqlite_schema WHERE name LIKE 'account%';"))
      assert.equal("0|0|account_summary||1|0|2|1", shell(path,
        "SELECT (SELECT count(*) FROM lunette_parked),"
          .. "(SELECT count(*) FROM lunette_checkpoints),"
          .. "(SELECT name || '||' || last_build || '|' || paused || '|'"
          .. " || revision"
          .. " FROM lunette_projections WHERE live_build IS NULL),"
          .. "(SELECT count(*) FROM lunette_owners);"))
    end)
  end)

  describe("beside tables of others", function()
    it("does not take a name that is in use", function()
      shell(path, "CREATE TABLE Account_Summary (x);")
      local fence = assert(store:acquire("account_summary", "me"))
      fails("config", 'has a table "account_summary" already that is not this '
        .. "projection's; rename it", store:define(kit.account_schema(), fence))
      assert.equal("0", shell(path, "SELECT count(*) FROM sqlite_schema "
        .. "WHERE name = 'account_summary__b1';"))
      shell(path, "DROP TABLE account_summary;"
        .. "CREATE VIEW account_summary__b1 AS SELECT 1;")
      fails("config", 'has a view "account_summary__b1"',
        store:define(kit.account_schema(), fence))
      shell(path, "DROP VIEW account_summary__b1;"
        .. "CREATE TABLE account_summary__v1 (x);")
      fails("config", 'has a table "account_summary__v1"',
        store:define(kit.account_schema(), fence))
      shell(path, "DROP TABLE account_summary__v1;")
      assert(store:define(kit.account_schema(), fence))
    end)

    it("shares a file with an event store", function()
      local events = assert(event_store.open("sqlite:" .. path))
      local owner = kit.own(store, kit.account_schema())
      for i = 1, 20 do
        assert(events:append { { stream = "a", type = "T", data = "1" } })
        owner:commit({ a = { balance = i } }, { position = i })
      end
      assert.equal(20, owner:load("a").a.balance)
      assert.equal("20", events:head())
      fails("config", 'has a table "events" already', store:define(
        kit.schema { projection = "events" },
        assert(store:acquire("events", "me"))))
      events:close()
    end)
  end)

  describe("opened twice", function()
    it("has one owner for each projection", function()
      local second = assert(open(path))
      local owner = kit.own(store, kit.account_schema())
      local ok, message, code, holder = second:acquire("account_summary", "you")
      fails("owned", "run by the spec", ok, message, code)
      assert.equal("the spec", holder)
      assert(second:acquire("other", "you"))
      store:release("account_summary", owner.fence)
      local fence = assert(second:acquire("account_summary", "you"))
      assert.is_true(fence > owner.fence)
      fails("conflict", "ownership has passed on", owner:try_commit())
      second:close()
    end)

    it("refuses the commit of an owner whose lock file was removed", function()
      local second = assert(open(path))
      local owner = kit.own(store, kit.account_schema())
      assert(os.remove(path .. ".account_summary.b1.s0.lock"))
      assert(second:acquire("account_summary", "you"))
      fails("conflict", "ownership has passed on",
        store:renew("account_summary", owner.fence))
      fails("conflict", "ownership has passed on", owner:try_commit())
      second:close()
    end)

    it("follows a reset by the other one", function()
      local second = assert(open(path))
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      assert.same({ a = { balance = 1 } }, second:load(owner.schema, { "a" }))
      -- The same version: only the column is another one.
      local schema = kit.schema { fields = { total = "integer" } }
      assert(store:reset(schema, owner.revision, owner.fence))
      fails("config", "is now field active boolean",
        second:load(owner.schema, { "a" }))
      fails("config", "is now field active boolean",
        second:query(owner.schema, "balance=eq.1"))
      assert.same({}, second:load(schema, { "a" }))
      second:close()
    end)
  end)

  describe("with an owner in another process", function()
    local function start_owner()
      local child = helper.spawn(lua_program(path, [[
        assert(store:acquire("account_summary", "process " .. 77))
        io.stdout:write "owned\n" io.stdout:flush()
        io.popen("sleep 60"):read "a"
      ]]))
      helper.wait(function()
        return child:stdout():find "owned"
      end)
      return child
    end

    it("names it, and takes over when it is killed", function()
      local child = start_owner()
      fails("owned", "run by process 77",
        store:acquire("account_summary", "me"))
      child:kill "KILL"
      child:wait()
      -- What it was about to start may have its files until it has started.
      helper.wait(function()
        return store:acquire("account_summary", "me")
      end)
    end)
  end)

  describe("whose table was edited", function()
    local function edit(sql, field, pattern)
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      shell(path, "UPDATE account_summary__b1 SET " .. sql .. ";")
      local expected = "table account_summary__b1, id \"a\": column \""
        .. field .. "\" holds what is no " .. pattern
      fails("io", expected, store:load(owner.schema, { "a" }))
      fails("io", expected, store:query(owner.schema))
    end

    for _, case in ipairs {
      { "balance = 'ten'", "balance", "integer" },
      { "balance = 1.5", "balance", "integer" },
      { "owner = x'00'", "owner", "text" },
      { "owner = CAST(x'FF' AS TEXT)", "owner", "text" },
      { "rate = 'fast'", "rate", "number" },
      { "rate = 9e999", "rate", "number" },
      { "active = 2", "active", "boolean" },
      { "last_activity = 'yesterday'", "last_activity", "timestamp" },
      { "last_activity = 17", "last_activity", "timestamp" },
      { "tags = '{'", "tags", "json" },
    } do
      it("says that there is no " .. case[3] .. ": " .. case[1], function()
        edit(table.unpack(case))
      end)
    end

    it("says so in a query over json, too", function()
      local owner = kit.own(store, kit.schema())
      owner:commit { a = { model = { json = "{}" } } }
      shell(path, "UPDATE account_summary__b1 SET model = '{';")
      fails("io", "what is no json", store:query(owner.schema, "n=eq.1"))
    end)
  end)

  describe("that others write to", function()
    it("waits for another process, and writes nothing in vain", function()
      local owner = kit.own(store, kit.account_schema())
      local child = helper.spawn({ "sqlite3", path }, {
        stdin = "BEGIN IMMEDIATE;\n"
          .. ".shell touch " .. path .. ".held; "
          .. "while [ -e " .. path .. ".held ]; do sleep 0.02; done\n"
          .. "COMMIT;\n",
      })
      helper.wait(function()
        return io.open(path .. ".held")
      end)
      local hasty = assert(open(path, { busy_timeout_ms = 20 }))
      local patient = owner.store
      owner.store = hasty
      local started = helper.now_ms()
      fails("unavailable", "is locked by another process",
        owner:try_commit { a = { balance = 1 } })
      assert.is_true(helper.now_ms() - started < 4000)
      fails("unavailable", "locked", hasty:request_post("account_summary",
        "pause"))
      fails("unavailable", "locked", hasty:acquire("other", "me"))
      assert.same({}, owner:load "a")
      assert.equal(0, owner:checkpoint().position)
      owner.store = patient
      os.remove(path .. ".held")
      owner:commit { a = { balance = 1 } }
      assert.equal(0, child:wait())
      assert(patient:acquire("other", "me"))
      hasty:close()
    end)

    it("gives short writers their turn beside a busy one #threads", function()
      local busy = kit.own(store, kit.schema { projection = "busy" }, "busy")
      local owner = kit.own(store, kit.account_schema())
      local writer = assert(store:busy_writer(
        busy.schema, busy.revision, busy.fence, 2000))
      helper.wait(function()
        return writer:commits() > 2
      end)
      local before = writer:commits()
      for i = 1, 20 do
        owner:commit { a = { balance = i } }
      end
      local between = writer:commits() - before
      local commits, failure = writer:stop()
      assert.is_nil(failure)
      -- A turn each; a few more while the short one is not in the line.
      assert.is_true(between <= 60, between .. " long commits beside 20")
      assert.is_true(commits >= before)
    end)
  end)

  describe("on a full disk", function()
    it("says so and keeps what it had", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      store:release("account_summary", owner.fence)
      local code, output = helper.run(lua_program(path, [[
        local owner = kit.own(store, kit.account_schema())
        local done, ok, message, code = 0
        repeat
          local models = {}
          for i = 1, 20 do
            models["m" .. done .. "-" .. i] = { owner = ("x"):rep(1000) }
          end
          ok, message, code = owner:try_commit(models)
          if ok then
            done = done + 1
            owner.revision = owner.revision + 1
            owner.position = owner.position + 1
          end
        until code
        print(code, message)
        print(done, #owner:query("select=id") - 1, owner:checkpoint().position)
        print(select(3, owner:try_commit {
          z = { owner = ("x"):rep(300000) } }))
        print(#owner:query("select=id") - 1)
      ]]), { fsize_limit = 400000 })
      assert.equal(0, code, output)
      assert.matches("^io\t.*cannot be written: disk full or file size "
        .. "limit reached; free some space", output)
      local done, rows, position = output:match "\n(%d+)\t(%d+)\t(%d+)\n"
      assert.is_true(tonumber(done) > 3)
      assert.equal(tonumber(done) * 20, tonumber(rows))
      assert.equal(done, position)
      assert.matches("\nio\n" .. rows .. "\n$", output)
      assert.equal("ok", shell(path, "PRAGMA integrity_check;"))
      owner = kit.own(store, kit.account_schema())
      owner:commit { b = { balance = 2 } }
    end)
  end)

  describe("that cannot be written", function()
    -- Root may write anything, so another user has to try.
    local function as_nobody(body)
      local folder = path:match "^(.*)/"
      helper.chmod(folder, tonumber("555", 8))
      helper.chmod(path, tonumber("444", 8))
      local code, output = helper.run(lua_program(path, body), {
        env = { BECOME = "65534" },
      })
      helper.chmod(folder, tonumber("755", 8))
      return code, output
    end

    it("is read all the same", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      local code, output = as_nobody [[
        local schema = kit.account_schema()
        print(store:checkpoint("account_summary").position,
          store:load(schema, { "a" }).a.balance,
          #store:query(schema, "balance=gte.0"))
        local _, message, code = store:request_post("account_summary", "pause")
        print(code, message)
        _, message, code = store:acquire("other", "me")
        print(code, message)
      ]]
      assert.equal(0, code, output)
      assert.matches("^1\t1\t1\nio\t[^\n]*cannot be written: the file, "
        .. "the %-wal or %-shm file beside it or its folder is "
        .. "read%-only[^\n]*\nio\town projection \"other\": open "
        .. "[^\n]*models.db.other.b1.s0.lock: Permission denied", output)
    end)

    it("says so when it holds no models yet", function()
      local other = path:match "^(.*)/" .. "/empty.db"
      shell(other, "PRAGMA journal_mode = WAL; CREATE TABLE t (x);")
      path = other
      local code, output = as_nobody ""
      assert.equal(3, code)
      assert.matches("^io\t.*cannot be written", output)
    end)
  end)
end)
