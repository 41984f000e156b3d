-- What every model store must do with builds and shards: two builds of one
-- projection, each of three shards, side by side.

local assert = require "luassert"
local busted = require "busted"
local kit = require "spec.stores.model_kit"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it

local BUILDS, SHARDS = 2, 3

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.truthy(message:find(pattern), message)
end

-- Owners by build and shard; every build may have a schema of its own.
local function own_all(store, schemas)
  local owners = {}
  for build = 1, BUILDS do
    owners[build] = {}
    for shard = 0, SHARDS - 1 do
      owners[build][shard] = kit.own(store,
        schemas and schemas[build] or kit.account_schema(),
        { "account_summary", build = build, shard = shard })
    end
  end
  return owners
end

local function each(owners, fn)
  for build = 1, BUILDS do
    for shard = 0, SHARDS - 1 do
      fn(owners[build][shard], build, shard, build * 10 + shard)
    end
  end
end

local function ids_of(list)
  local ids = {}
  for i, item in ipairs(list) do
    ids[i] = item.id
  end
  return table.concat(ids, " ")
end

local function owning(open)
  it("are owned each by itself", function()
    local store = open()
    local other = assert(store:connect())
    local owners = own_all(store)
    each(owners, function(owner, _, _, n)
      fails("owned", '"account_summary" is run by the spec',
        other:acquire(owner.key, "another"))
      for _ = 1, n do
        owner.fence = assert(store:acquire(owner.key, "the spec"))
      end
    end)
    each(owners, function(owner)
      assert.equal(owner.fence, owner:checkpoint().fence)
      assert(other:renew(owner.key, owner.fence))
    end)
    store:release(owners[1][2].key, owners[1][2].fence)
    fails("owned", "the spec", other:acquire(owners[1][1].key, "another"))
    fails("owned", "the spec", other:acquire(owners[2][2].key, "another"))
    local fence = assert(other:acquire(owners[1][2].key, "another"))
    assert.is_true(fence > owners[1][2].fence)
    fails("conflict", "ownership", owners[1][2]:try_commit())
    owners[1][2].fence = fence
    each(owners, function(owner)
      owner:commit()
    end)
    other:close()
  end)
end

local function committing(open)
  it("share the models of their build, and nothing else", function()
    local owners = own_all(open())
    each(owners, function(owner, _, _, n)
      for i = 1, n do
        owner:commit({ ["m" .. n] = { balance = i } }, {
          position = i,
          identity = "log-" .. n,
          source_state = "state " .. n,
        })
      end
    end)
    each(owners, function(owner, build, _, n)
      local c = owner:checkpoint()
      assert.equal(n, c.position)
      assert.equal(n + 1, c.revision)
      assert.equal(1, c.projection_revision)
      assert.equal("log-" .. n, c.identity)
      assert.equal("state " .. n, c.source_state)
      assert.equal(("m%d0 m%d1 m%d2"):format(build, build, build),
        owner:ids("select=id"))
      assert.equal(n, owner:load("m" .. n)["m" .. n].balance)
      assert.same({}, owner:load("m" .. (build == 1 and 20 or 10)))
    end)
  end)

  it("refuse the revision of another shard", function()
    local owners = own_all(open())
    owners[1][0]:commit { a = { balance = 1 } }
    fails("conflict", "expected revision", owners[1][1]:try_commit(
      { a = { balance = 2 } }, { revision = owners[1][0].revision }))
    fails("conflict", "expected revision", owners[2][0]:try_commit(
      { a = { balance = 2 } }, { revision = owners[1][0].revision }))
    assert.equal(1, owners[1][2]:load("a").a.balance)
    assert.same({}, owners[2][2]:load "a")
  end)

  it("count the bundles of their build", function()
    local store = open()
    local owners = own_all(store)
    local function commit(build, shard, hash)
      owners[build][shard]:commit({},
        { bundle_hash = hash, bundle = '{"of":"' .. hash .. '"}' })
    end
    commit(1, 0, "aa")
    commit(1, 1, "aa")
    commit(1, 1, "bb")
    commit(1, 2, "bb")
    commit(2, 0, "cc")
    for build, count in ipairs { 2, 1 } do
      for shard = 0, SHARDS - 1 do
        assert.equal(count, owners[build][shard]:checkpoint().script_count)
      end
    end
    assert.equal("aa", owners[1][0]:checkpoint().bundle_hash)
    assert.equal("bb", owners[1][2]:checkpoint().bundle_hash)
    assert.equal("", owners[2][1]:checkpoint().bundle_hash)
    local builds = store:builds "account_summary"
    assert.equal("bb", builds[1].bundle_hash)
    assert.equal("cc", builds[2].bundle_hash)
    commit(1, 2, "aa")
    assert.equal("aa", store:builds("account_summary")[1].bundle_hash)
    assert.equal(2, owners[1][2]:checkpoint().script_count)
  end)
end

local function set_aside(open)
  it("set events aside each for itself", function()
    local store = open()
    local owners = own_all(store)
    each(owners, function(owner, _, _, n)
      owner:commit({}, {
        parked = { kit.aside(n, "x"), kit.aside(n + 100, "m" .. n) },
        skipped = { kit.aside(n + 200, "x") },
      })
    end)
    each(owners, function(owner, _, _, n)
      local c = owner:checkpoint()
      assert.equal(2, c.parked_count)
      assert.equal(1, c.skipped_count)
      assert.equal(("event-%d event-%d"):format(n, n + 100),
        ids_of(store:parked(owner.key)))
      assert.equal("event-" .. n, ids_of(store:parked(owner.key, "x")))
      assert.same({ "m" .. n, "x" }, store:parked_ids(owner.key))
      assert.equal("event-" .. n + 200, ids_of(store:skipped(owner.key)))
    end)
    local mine, next_shard, next_build =
      owners[1][1], owners[1][2], owners[2][1]
    local numbers, errors = {}, {}
    for _, owner in ipairs { mine, next_shard, next_build } do
      local items = store:parked(owner.key)
      numbers[#numbers + 1] = items[1].number
      errors[#errors + 1] = { number = items[2].number, error = "worse" }
    end
    mine:commit({}, { unparked = numbers, new_errors = errors })
    assert.equal("event-111", ids_of(store:parked(mine.key)))
    assert.equal("worse", store:parked(mine.key)[1].error)
    for owner, n in pairs { [next_shard] = 12, [next_build] = 21 } do
      local items = store:parked(owner.key)
      assert.equal(("event-%d event-%d"):format(n, n + 100), ids_of(items))
      assert.equal(kit.aside(n + 100, "x").error, items[2].error)
    end
  end)

  it("keep a thousand skipped events each", function()
    local owners = own_all(open())
    owners[1][0]:commit({}, { skipped = { kit.aside(1, "a") } })
    owners[2][1]:commit({}, { skipped = { kit.aside(2, "a") } })
    local items = {}
    for i = 1, 1001 do
      items[i] = kit.aside(i + 10, "a")
    end
    owners[1][1]:commit({}, { skipped = items })
    local store = owners[1][0].store
    assert.equal(1000, #store:skipped(owners[1][1].key))
    assert.equal("event-1", ids_of(store:skipped(owners[1][0].key)))
    assert.equal("event-2", ids_of(store:skipped(owners[2][1].key)))
  end)
end

local function messages(open)
  it("have requests and heartbeats of their own", function()
    local store = open()
    local owners = own_all(store)
    local posted = {}
    each(owners, function(owner, _, _, n)
      posted[n] = assert(store:request_post(owner.key, "retry", "id-" .. n))
    end)
    each(owners, function(owner, build, shard, n)
      assert.same({ number = posted[n], projection = "account_summary",
        build = build, shard = shard, kind = "retry",
        argument = "id-" .. n }, store:request_next(owner.key))
      assert(store:request_finish(posted[n], "script", "of " .. n))
      fails("not_found", "account_summary", store:request_next(owner.key))
    end)
    each(owners, function(_, _, _, n)
      fails("script", "^of " .. n .. "$", store:request_result(posted[n]))
    end)
    local beats = {}
    each(owners, function(_, build, shard, n)
      beats[n] = { projection = "account_summary", build = build,
        shard = shard, owner = "the spec", state = "s" .. n, waiting_for = "",
        last_error = "", events_per_second = n * 1.5 }
      assert(store:publish { beats[n] })
    end)
    each(owners, function(owner, _, _, n)
      local heard = store:heartbeat(owner.key)
      heard.held, heard.age_us = nil, nil
      assert.same(beats[n], heard)
    end)
  end)
end

local function administration(open)
  it("are told of as a projection and its builds", function()
    local store = open()
    fails("not_found", '"account_summary" is not in the model store',
      store:projection "account_summary")
    assert.same({}, store:builds "account_summary")
    local owners = own_all(store, { kit.account_schema(),
      kit.schema { version = 2, fields = { total = "integer" } } })
    assert.same({ "account_summary" }, store:list())
    assert.same({ live_build = 1, last_build = 2, paused = false,
      revision = 1 }, store:projection "account_summary")
    local builds = store:builds "account_summary"
    assert.equal(2, #builds)
    for number, build in ipairs(builds) do
      assert.equal(number, build.number)
      assert.equal(number, build.version)
      assert.equal(number == 1 and "live" or "building", build.state)
      assert.equal("", build.reason)
      assert.is_true(build.made_at > 1700000000000000)
      assert.equal(0, build.kept_until)
      assert.equal(owners[number][1]:checkpoint().schema, build.schema)
    end
  end)

  it("keep the schema of their build", function()
    local store = open()
    local second = kit.schema { version = 2, fields = { total = "integer" } }
    local owners = own_all(store, { kit.account_schema(), second })
    owners[1][0]:commit { a = { balance = 1 } }
    owners[2][0]:commit { a = { total = 2 } }
    assert.equal(1, owners[1][1]:load("a").a.balance)
    assert.equal(2, owners[2][1]:load("a").a.total)
    local other = { "account_summary", build = 1, shard = 7 }
    fails("config", "of version 1, the script says 2",
      store:define({ second, build = 1, shard = 7 },
        assert(store:acquire(other, "me"))))
    fails("not_found", "account_summary", store:checkpoint(other))
    fails("config", "of version 1, the script says 2",
      store:load({ second, build = 1 }, { "a" }))
    fails("not_found", "account_summary",
      store:load({ second, build = 3 }, { "a" }))
    fails("not_found", "account_summary",
      store:query { second, build = 3 })
  end)

  it("are set and adopted one by one", function()
    local owners = own_all(open())
    each(owners, function(owner)
      owner:commit({}, { identity = "log-1", source_state = "x" })
    end)
    local one = owners[2][1]
    local store = one.store
    assert(store:set_position(one.key, 99, "y", one.revision, one.fence))
    fails("conflict", "expected revision",
      store:adopt(one.key, "log-2", one.revision, one.fence))
    one.revision = one.revision + 1
    fails("conflict", "ownership",
      store:adopt(one.key, "log-2", one.revision, one.fence + 1))
    fails("not_found", "account_summary", store:adopt(
      { "account_summary", build = 3 }, "log-2", one.revision, one.fence))
    fails("invalid", "too long",
      store:adopt(one.key, ("x"):rep(500), one.revision, one.fence))
    assert(store:adopt(one.key, "log-2", one.revision, one.fence))
    one.revision = one.revision + 1
    each(owners, function(owner)
      local c = owner:checkpoint()
      assert.equal(owner.revision, c.revision)
      assert.equal(owner == one and 99 or 1, c.position)
      assert.equal(owner == one and "y" or "x", c.source_state)
      assert.equal(owner == one and "log-2" or "log-1", c.identity)
    end)
  end)

  it("are paused as one projection, beside their commits", function()
    local store = open()
    local owners = own_all(store)
    local one = owners[2][2]
    fails("conflict", "revision",
      store:set_paused(one.key, true, 2, one.fence))
    fails("conflict", "ownership",
      store:set_paused(one.key, true, 1, one.fence + 1))
    assert(store:set_paused(one.key, true, 1, one.fence))
    each(owners, function(owner)
      owner:commit { a = { balance = 1 } }
      local c = owner:checkpoint()
      assert.is_true(c.paused)
      assert.equal(2, c.projection_revision)
      assert.equal(2, c.revision)
    end)
    local info = store:projection "account_summary"
    assert.is_true(info.paused)
    assert.equal(2, info.revision)
  end)
end

local function resetting(open)
  it("are reset as one build", function()
    local store = open()
    local owners = own_all(store)
    each(owners, function(owner, _, _, n)
      owner:commit({ ["m" .. n] = { balance = n } }, {
        parked = { kit.aside(n, "x") },
        skipped = { kit.aside(n, "y") },
        source_state = "x",
      })
    end)
    assert(store:set_paused(owners[1][0].key, true, 1, owners[1][0].fence))
    local schema = kit.schema { version = 2, fields = { total = "integer" } }
    local one = owners[1][1]
    assert(store:reset({ schema, build = 1, shard = 1 },
      one.revision, one.fence))
    for shard = 0, SHARDS - 1 do
      local owner = owners[1][shard]
      local c = owner:checkpoint()
      assert.equal(0, c.position)
      assert.equal(2, c.version)
      assert.equal(owner.revision + 1, c.revision)
      assert.equal("", c.source_state)
      assert.equal("", c.identity)
      assert.equal("", c.bundle_hash)
      assert.equal(0, c.script_count + c.parked_count + c.skipped_count)
      assert.equal(0, c.committed_at)
      assert.is_false(c.paused)
      assert.equal(3, c.projection_revision)
      assert.same({}, store:parked(owner.key))
      assert.same({}, store:skipped(owner.key))
      owner.schema = { schema, build = 1, shard = shard }
      assert.same({}, owner:query())
      owner.revision = c.revision
    end
    for shard = 0, SHARDS - 1 do
      local owner = owners[1][shard]
      if owner ~= one then
        fails("conflict", "account_summary",
          store:renew(owner.key, owner.fence))
        fails("conflict", "ownership", owner:try_commit())
        owner.fence = assert(store:acquire(owner.key, "the spec"))
      end
      owner:commit { ["n" .. shard] = { total = 1 } }
    end
    assert.equal("n0 n1 n2", one:ids "select=id")
    for shard = 0, SHARDS - 1 do
      local owner = owners[2][shard]
      local c = owner:checkpoint()
      assert.equal(1, c.position)
      assert.equal(1, c.version)
      assert.equal(1, c.parked_count)
      assert.equal(1, c.skipped_count)
      assert.equal(1, c.script_count)
      assert.equal("m20 m21 m22", owner:ids "select=id")
      owner:commit()
    end
    local builds = store:builds "account_summary"
    assert.equal(2, builds[1].version)
    assert.equal("live", builds[1].state)
    assert.equal(1, builds[2].version)
  end)

  it("are dropped all at once", function()
    local store = open()
    local owners = own_all(store)
    each(owners, function(owner, _, _, n)
      owner:commit({ ["m" .. n] = {} }, { parked = { kit.aside(n, "x") },
        skipped = { kit.aside(n, "y") } })
      assert(store:publish { { projection = "account_summary",
        build = owner.key.build, shard = owner.key.shard } })
    end)
    local one = owners[2][0]
    fails("conflict", "revision", store:drop(one.key, 1, one.fence))
    assert(store:drop(one.key, one.revision, one.fence))
    assert.same({}, store:list())
    assert.same({}, store:builds "account_summary")
    fails("not_found", "account_summary", store:projection "account_summary")
    each(owners, function(owner)
      fails("not_found", "account_summary", store:checkpoint(owner.key))
      fails("not_found", "account_summary", store:parked(owner.key))
      fails("not_found", "account_summary", store:heartbeat(owner.key))
      fails("not_found", "account_summary", owner:try_commit())
      if owner ~= one then
        fails("conflict", "account_summary",
          store:renew(owner.key, owner.fence))
        fails("conflict", "ownership", store:define(owner.schema, owner.fence))
      end
      assert.is_true(assert(store:acquire(owner.key, "x")) > owner.fence)
    end)
    local third = kit.own(store, kit.account_schema(),
      { "account_summary", build = 1 })
    assert.same({}, third:query())
    local c = third:checkpoint()
    assert.equal(0, c.parked_count + c.skipped_count + c.script_count)
    local info = store:projection "account_summary"
    assert.equal(1, info.live_build)
    assert.equal(2, info.last_build)
    assert.equal(2, info.revision)
  end)

  it("keep a bundle again that a drop has deleted", function()
    local store = open()
    local owner = kit.own(store, kit.account_schema())
    local bundle = { bundle_hash = "aa", bundle = "{A}" }
    owner:commit({}, bundle)
    assert(store:drop(owner.key, owner.revision, owner.fence))
    assert(store:define(owner.schema, owner.fence))
    assert(store:set_position(owner.key, 0, nil, 1, owner.fence))
    owner:commit({}, bundle)
    assert.equal(1, owner:checkpoint().script_count)
  end)
end

return function(open)
  describe("builds and shards", function()
    owning(open)
    committing(open)
    set_aside(open)
    messages(open)
    administration(open)
    resetting(open)
  end)
end
