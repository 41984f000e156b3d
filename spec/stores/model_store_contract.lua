-- What every model store must do. Called with a function that opens an empty
-- store; what is opened is closed by the collector.

local assert = require "luassert"
local busted = require "busted"
local kit = require "spec.stores.model_kit"
local administration = require "spec.stores.model_admin_contract"
local builds = require "spec.stores.model_builds_contract"
local keys = require "spec.stores.model_keys_contract"
local queries = require "spec.stores.model_query_contract"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.truthy(message:find(pattern), message)
end

local function ownership(open)
  describe("ownership", function()
    it("gives a higher fence each time", function()
      local store = open()
      local first = assert(store:acquire("a", "me"))
      store:release("a", first)
      local second = assert(store:acquire("a", "me"))
      assert.is_true(second > first)
      assert.is_true(assert(store:acquire("a", "me")) > second)
    end)

    it("names the holder to another connection", function()
      local store = open()
      local other = assert(store:connect())
      assert(store:acquire("a", "ada@home, process 7"))
      local ok, message, code, holder = other:acquire("a", "bob")
      fails("owned", "run by ada@home, process 7", ok, message, code)
      assert.equal("ada@home, process 7", holder)
      assert(other:acquire("b", "bob"))
    end)

    it("ends with a release", function()
      local store = open()
      local other = assert(store:connect())
      local fence = assert(store:acquire("a", "ada"))
      store:release("a", fence + 1)
      assert.is_nil((other:acquire("a", "bob")))
      store:release("a", fence)
      assert(other:acquire("a", "bob"))
    end)

    it("is renewed by its fence, from any connection", function()
      local store = open()
      local other = assert(store:connect())
      local fence = assert(store:acquire("a", "ada"))
      assert(store:renew("a", fence))
      assert(other:renew("a", fence))
      store:release("a", fence)
      local newer = assert(other:acquire("a", "bob"))
      fails("conflict", '"a"', store:renew("a", fence))
      assert(store:renew("a", newer))
    end)

    it("is renewed with others, each for itself", function()
      local store = open()
      local other = assert(store:connect())
      local shard = { "b", build = 2, shard = 1 }
      local a = assert(store:acquire("a", "ada"))
      local b = assert(store:acquire(shard, "ada"))
      local c = assert(store:acquire("c", "ada"))
      assert.same({ "ok", "ok", "ok" },
        store:renew_all { { "a", a }, { shard, b }, { "c", c } })
      store:release("a", a)
      local newer = assert(other:acquire("a", "bob"))
      local results = store:renew_all {
        { "c", c }, { "a", a }, { "never", 1 }, { shard, b }, { "a", newer } }
      assert.equal("ok ok ok",
        table.concat({ results[1], results[4], results[5] }, " "))
      assert.truthy(results[2]:find('"a": its ownership has passed', 1, true))
      assert.truthy(results[3]:find('"never"', 1, true))
      assert.same({}, store:renew_all {})
    end)

    it("ends with its connection", function()
      local store = open()
      local other = assert(store:connect())
      assert(other:acquire("a", "bob"))
      other:close()
      assert(store:acquire("a", "ada"))
    end)

    it("refuses names that no projection has", function()
      fails("invalid", "Bad Name", open():acquire("Bad Name", "me"))
      fails("invalid", "lunette_", open():acquire("lunette_x", "me"))
    end)
  end)
end

local function definition(open)
  describe("a definition", function()
    it("starts a projection at the beginning", function()
      local store = open()
      fails("not_found", '"account_summary" is not in the model store',
        store:checkpoint "account_summary")
      local owner = kit.own(store, kit.account_schema())
      local c = owner:checkpoint()
      assert.equal(0, c.position)
      assert.equal(1, c.version)
      assert.equal(owner.fence, c.fence)
      assert.equal("", c.identity)
      assert.equal(0, c.committed_at)
      assert.equal(0, c.script_count)
      assert.is_false(c.paused)
      assert.truthy(c.schema:find "field balance integer\n")
    end)

    it("leaves alone what is there in the same form", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      assert(owner.store:define(kit.account_schema(), owner.fence))
      assert.equal(1, owner:checkpoint().position)
      assert.equal(1, owner:load("a").a.balance)
    end)

    it("names the first difference in the fields", function()
      local owner = kit.own(open(), kit.account_schema())
      local changed = kit.schema { fields = { balance = "number" } }
      fails("config", 'field active boolean is now field balance number; '
        .. "raise the version", owner.store:define(changed, owner.fence))
      local other = kit.account_schema { indexes = { { "balance" } } }
      assert(owner.store:define(other, owner.fence))
    end)

    it("asks for a rebuild when the version differs", function()
      local owner = kit.own(open(), kit.account_schema())
      fails("config", 'run "lunette rebuild account_summary"',
        owner.store:define(kit.account_schema { version = 2 }, owner.fence))
    end)

    it("belongs to the owner", function()
      local store = open()
      fails("conflict", "ownership has passed on",
        store:define(kit.account_schema(), 0))
      local fence = assert(store:acquire("account_summary", "me"))
      assert(store:acquire("account_summary", "me"))
      fails("conflict", "ownership has passed on",
        store:define(kit.account_schema(), fence))
    end)

    it("is listed by name", function()
      local store = open()
      for _, name in ipairs { "b", "c", "a" } do
        kit.own(store, kit.schema { projection = name }, name)
      end
      assert(store:acquire("never_defined", "me"))
      assert.same({ "a", "b", "c" }, store:list())
    end)
  end)
end

local function reset_and_drop(open)
  describe("a reset", function()
    it("clears everything and takes the new schema", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({ a = { balance = 1 } }, {
        parked = { kit.aside(1, "b") },
        skipped = { kit.aside(2, "c") },
        source_state = "gap 17",
      })
      local schema = kit.schema { version = 2, fields = { total = "integer" } }
      assert(owner.store:reset(schema, owner.revision, owner.fence))
      local c = owner:checkpoint()
      assert.equal(2, c.version)
      assert.equal(0, c.position)
      assert.equal(0, c.parked_count)
      assert.equal(0, c.skipped_count)
      assert.equal("", c.source_state)
      assert.equal(owner.revision + 1, c.revision)
      owner.schema, owner.revision = schema, c.revision
      assert.same({}, owner:query())
      assert.same({}, owner.store:parked "account_summary")
      assert.same({}, owner.store:skipped "account_summary")
      owner:commit { a = { total = 5 } }
      assert.equal(5, owner:load("a").a.total)
    end)

    it("ends a pause", function()
      local owner = kit.own(open(), kit.account_schema())
      assert(owner.store:set_paused("account_summary", true, 1, owner.fence))
      assert(owner.store:reset(owner.schema, owner.revision, owner.fence))
      assert.is_false(owner:checkpoint().paused)
      assert.equal(3, owner:checkpoint().projection_revision)
      assert(owner.store:reset(owner.schema, owner.revision + 1, owner.fence))
      assert.equal(3, owner:checkpoint().projection_revision)
    end)

    it("tells readers with the old schema", function()
      local owner = kit.own(open(), kit.account_schema())
      local schema = kit.schema { version = 2, fields = { total = "integer" } }
      assert(owner.store:reset(schema, owner.revision, owner.fence))
      fails("config", "of version 2, the script says 1",
        owner.store:load(owner.schema, { "a" }))
      fails("config", "of version 2, the script says 1",
        owner.store:query(owner.schema))
    end)

    it("may make a projection that is not there", function()
      local store = open()
      local fence = assert(store:acquire("account_summary", "me"))
      assert(store:reset(kit.account_schema(), 0, fence))
      assert.equal(1, store:checkpoint("account_summary").revision)
    end)

    it("is refused with another revision or fence", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      fails("conflict", "revision", owner.store:reset(
        owner.schema, owner.revision - 1, owner.fence))
      fails("conflict", "ownership", owner.store:reset(
        owner.schema, owner.revision, owner.fence + 1))
      assert.equal(1, owner:load("a").a.balance)
    end)
  end)

  describe("a drop", function()
    it("forgets the projection but not its fence", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({ a = { balance = 1 } }, { parked = { kit.aside(1, "b") } })
      fails("conflict", "revision",
        owner.store:drop("account_summary", 99, owner.fence))
      assert(owner.store:drop("account_summary", owner.revision, owner.fence))
      assert.same({}, owner.store:list())
      fails("not_found", "account_summary",
        owner.store:checkpoint "account_summary")
      fails("not_found", "account_summary",
        owner.store:load(owner.schema, { "a" }))
      fails("not_found", "account_summary", owner.store:query(owner.schema))
      fails("not_found", "account_summary",
        owner.store:drop("account_summary", 0, owner.fence))
      assert.is_true(
        assert(owner.store:acquire("account_summary", "me")) > owner.fence)
    end)

    it("lets it be defined anew", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      assert(owner.store:drop("account_summary", owner.revision, owner.fence))
      owner = kit.own(owner.store, kit.schema())
      assert.same({}, owner:query())
      assert.equal(0, owner:checkpoint().parked_count)
    end)
  end)
end

-- Of every type, and here and there without a value.
local function varied_row(n)
  return {
    owner = n % 3 > 0 and "Ł" .. n or nil,
    balance = n % 5 > 0 and -n or nil,
    rate = n % 7 > 0 and n / 7 or nil,
    active = n % 2 == 0,
    last_activity = n % 11 > 0 and { timestamp = n } or nil,
    tags = { json = "[" .. n .. ",1e+15]" },
  }
end

local function commits(open)
  describe("a commit", function()
    it("writes, replaces and deletes models", function()
      local owner = kit.own(open(), kit.account_schema())
      local full = {
        owner = "Ada Ł. 😀",
        balance = math.maxinteger,
        rate = 0.1,
        active = false,
        last_activity = { timestamp = 1700000000123456 },
        tags = { json = '{"a":[1,null]}' },
      }
      owner:commit { a = full, b = {}, c = { balance = math.mininteger } }
      assert.same({ a = full, b = {}, c = { balance = math.mininteger } },
        owner:load("a", "b", "c", "d"))
      owner:commit { a = { balance = 2 }, b = false, d = { rate = -0.5 } }
      assert.same({ a = { balance = 2 }, c = { balance = math.mininteger },
        d = { rate = -0.5 } }, owner:load("d", "c", "b", "a"))
    end)

    it("keeps numbers as they are", function()
      local owner = kit.own(open(), kit.account_schema())
      local numbers = { 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3 }
      for i, number in ipairs(numbers) do
        owner:commit { ["n" .. i] = { rate = number } }
      end
      for i, number in ipairs(numbers) do
        local back = owner:load("n" .. i)["n" .. i].rate
        assert.equal("float", math.type(back))
        assert.equal(number, back)
      end
    end)

    it("takes any text as an id", function()
      local owner = kit.own(open(), kit.account_schema())
      local ids = { "it's", 'a "quoted" id', "Łódź 😀", ("x"):rep(1000), "%_",
        "a;b--", " ", "0", "\1\127" }
      local models = {}
      for i, id in ipairs(ids) do
        models[id] = { balance = i }
      end
      owner:commit(models)
      assert.same(models, owner:load(table.unpack(ids)))
      assert.equal(#ids, #owner:query())
    end)

    it("refuses ids that no store could keep", function()
      local owner = kit.own(open(), kit.account_schema())
      fails("invalid", "1001 bytes",
        owner:try_commit { [("x"):rep(1001)] = {} })
      fails("invalid", "empty", owner:try_commit { [""] = {} })
      fails("invalid", "NUL", owner:try_commit { ["a\0b"] = {} })
      fails("invalid", "empty", owner.store:load(owner.schema, { "" }))
    end)

    it("moves the checkpoint with everything it carries", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({}, {
        position = ("1"):rep(32),
        identity = "log-1",
        bundle_hash = ("a"):rep(32),
        source_state = "\0open gaps\255",
      })
      local c = owner:checkpoint()
      assert.equal(("1"):rep(32), c.position)
      assert.equal("log-1", c.identity)
      assert.equal(("a"):rep(32), c.bundle_hash)
      assert.equal("\0open gaps\255", c.source_state)
      assert.equal(owner.revision, c.revision)
      assert.is_true(c.committed_at > 1700000000000000)
    end)

    it("know the last revision that touched models", function()
      local owner = kit.own(open(), kit.account_schema())
      local key = owner.key
      assert.equal(0, owner:checkpoint().rows_revision)
      owner:commit()
      assert.equal(0, owner:checkpoint().rows_revision)
      owner:commit { a = { balance = 1 } }
      assert.equal(3, owner:checkpoint().rows_revision)
      owner:commit({}, { parked = { kit.aside(1, "b") } })
      assert(owner.store:set_position(key, 1, "", owner.revision, owner.fence))
      assert.equal(3, owner:checkpoint().rows_revision)
      owner.revision = owner.revision + 1
      owner:commit { a = false }
      assert.equal(6, owner:checkpoint().rows_revision)
      assert(owner.store:reset(owner.schema, owner.revision, owner.fence))
      assert.equal(7, owner:checkpoint().rows_revision)
    end)

    it("counts the scripts that built the models", function()
      local owner = kit.own(open(), kit.account_schema())
      for i, hash in ipairs { "aa", "aa", "bb", "bb", "aa" } do
        owner:commit({}, { bundle_hash = hash })
        assert.equal(({ 1, 1, 2, 2, 2 })[i], owner:checkpoint().script_count)
      end
    end)

    it("may stay at its position", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({ a = { balance = 1 } }, { position = 5 })
      owner:commit({ a = { balance = 2 } }, { position = 5 })
      assert.equal(5, owner:checkpoint().position)
      assert.equal(2, owner:load("a").a.balance)
    end)

    it("writes nothing with a revision that is old or new", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      for _, wrong in ipairs { -1, 1 } do
        fails("conflict", "expected revision", owner:try_commit(
          { a = { balance = 9 }, b = {} },
          { revision = owner.revision + wrong,
            parked = { kit.aside(1, "a") } }))
      end
      assert.same({ a = { balance = 1 } }, owner:load("a", "b"))
      assert.equal(1, owner:checkpoint().position)
      assert.equal(owner.revision, owner:checkpoint().revision)
      assert.same({}, owner.store:parked "account_summary")
    end)

    it("writes nothing with a fence that is old or new", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      local newer = assert(owner.store:acquire("account_summary", "me"))
      for _, wrong in ipairs { owner.fence, newer + 1, 0 } do
        fails("conflict", "ownership", owner:try_commit(
          { a = { balance = 9 } }, { fence = wrong }))
      end
      assert.same({ a = { balance = 1 } }, owner:load "a")
      owner.fence = newer
      owner:commit { a = { balance = 2 } }
    end)

    it("is for projections that are defined", function()
      local store = open()
      local fence = assert(store:acquire("account_summary", "me"))
      fails("not_found", "account_summary", store:commit {
        schema = kit.account_schema(), revision = 0, fence = fence })
    end)

    it("is seen by other connections, and theirs by it", function()
      local owner = kit.own(open(), kit.account_schema())
      local other = assert(owner.store:connect())
      owner:commit { a = { balance = 1 } }
      assert.same({ a = { balance = 1 } }, other:load(owner.schema, { "a" }))
      local first = owner.store
      owner.store = other
      owner:commit { a = { balance = 2 } }
      assert.same({ a = { balance = 2 } }, first:load(owner.schema, { "a" }))
      assert.equal(2, first:checkpoint("account_summary").position)
    end)

    it("stands beside others on another thread #threads", function()
      local owner = kit.own(open(), kit.account_schema())
      local busy = kit.own(owner.store,
        kit.schema { projection = "busy" }, "busy")
      local writer = assert(owner.store:busy_writer(
        busy.schema, busy.revision, busy.fence, 100))
      for i = 1, 50 do
        owner:commit { a = { balance = i } }
        assert.equal(i, owner:load("a").a.balance)
      end
      local done, failure = writer:stop()
      assert.is_nil(failure)
      assert.equal(busy.revision + done, busy:checkpoint().revision)
      assert.is_true(done == 0 or #busy:query "select=id" == 100)
    end)

    it("need not be right about what is new", function()
      local owner = kit.own(open(), kit.account_schema())
      local function models(from, to)
        local result = {}
        for i = from, to do
          result["m" .. i] = varied_row(i)
        end
        return result
      end
      local function check(expected)
        local ids = {}
        for id in pairs(expected) do
          ids[#ids + 1] = id
        end
        assert.same(expected, owner:load(table.unpack(ids)))
        assert.equal(#ids, #owner:query("select=id", "limit=5000"))
      end
      owner:commit(models(1, 1000), { all_new = true })
      check(models(1, 1000))
      local more = models(900, 2000)
      more.m5 = false
      owner:commit(more, { all_new = true })
      local all = models(1, 2000)
      all.m5 = nil
      check(all)
      owner:commit({ m5 = { balance = 5 } }, { all_new = true })
      all.m5 = { balance = 5 }
      check(all)
    end)

    it("changes many models, of which some are not there", function()
      local owner = kit.own(open(), kit.account_schema())
      local function models(shift)
        local result = {}
        for i = 1, 1500 do
          result["m" .. i] = varied_row(i + shift)
        end
        return result
      end
      local ids = {}
      for id in pairs(models(0)) do
        ids[#ids + 1] = id
      end
      owner:commit(models(0), { all_new = true })
      owner:commit(models(1))
      assert.same(models(1), owner:load(table.unpack(ids)))
      owner:commit { m7 = false, m1500 = false }
      local changed = models(2)
      changed.m8 = false
      owner:commit(changed)
      changed.m8 = nil
      assert.same(changed, owner:load(table.unpack(ids)))
    end)

    it("takes tens of thousands of models", function()
      local owner = kit.own(open(), kit.account_schema())
      local models, ids = {}, {}
      for i = 1, 20000 do
        ids[i] = "account-" .. (i * 7919) % 20011
        models[ids[i]] = { balance = i }
      end
      owner:commit(models)
      local back = owner:load(table.unpack(ids, 1, 10000))
      for i = 1, 10000 do
        assert.equal(i, back[ids[i]].balance)
      end
      for i = 1, 20000, 2 do
        models[ids[i]] = false
      end
      owner:commit(models)
      assert.equal(10000, #owner:query("limit=20000", "select=id"))
    end)
  end)

  describe("a model without fields", function()
    it("is one json value", function()
      local owner = kit.own(open(), kit.schema())
      owner:commit { a = { model = { json = '{"n":1}' } },
        b = { model = { json = "[1]" } }, c = { model = { json = "7" } } }
      assert.same({ a = { model = { json = '{"n":1}' } },
        b = { model = { json = "[1]" } }, c = { model = { json = "7" } } },
        owner:load("a", "b", "c"))
    end)
  end)
end

return function(open)
  ownership(open)
  definition(open)
  reset_and_drop(open)
  commits(open)
  administration(open)
  builds(open)
  keys(open)
  queries(open)
end
