-- Model stores whose server goes away, whose answers are lost, whose owners
-- stall and die.

local helper = require "spec.helper"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"

local server, why = postgres.start()

local COMMIT = "\0COMMIT\0"
local CHECKPOINT = "\0WITH moved"

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the postgres model store #postgres", function()
  if not server then
    pending(why)
    return
  end

  local database = server:new_database()
  local schemas = 0
  local query, store, proxy, proxied

  -- A worker that may use what is there and end no other role's sessions.
  local function as_worker()
    database:sql(([[
      DO $$ BEGIN
        IF to_regrole('faults_worker') IS NULL THEN
          CREATE ROLE faults_worker LOGIN;
        END IF;
      END $$;
      GRANT USAGE ON SCHEMA %s TO faults_worker;
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s
        TO faults_worker;]]):format(query:match "=(.*)", query:match "=(.*)"))
    return assert(kit.open(database:with(query, "faults_worker")))
  end

  before_each(function()
    collectgarbage()
    schemas = schemas + 1
    query = "schema=f" .. schemas
    store = assert(kit.open(database:with(query)))
    local dir = helper.tmpdir()
    proxy = proxies.start(dir .. "/.s.PGSQL.5432",
      server.dir .. "/.s.PGSQL.5432")
    proxied = database:with(query):gsub("host=[^&]*", "host=" .. dir)
  end)

  after_each(function()
    proxy:close()
    store:close()
  end)

  local function is_idle()
    return database:sql [[SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette'
      AND xact_start IS NOT NULL]] == "0"
  end

  describe("after a lost connection", function()
    it("goes on with the next call", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      database:terminate()
      local done, message, code = owner:try_commit { a = { balance = 2 } }
      if done then -- the end was seen before the call
        owner.revision = owner.revision + 1
      else
        assert.equal("unavailable", code)
        assert.matches("terminating connection", message)
        assert.equal(1, owner:load("a").a.balance)
        owner:commit { a = { balance = 2 } }
      end
      assert.equal(2, owner:load("a").a.balance)
      assert(store:renew("account_summary", owner.fence))
    end)

    it("has written nothing if that was before the commit", function()
      local owner = kit.own(assert(kit.open(proxied)), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      proxy:rule("\0INSERT INTO", "before")
      local ok, _, code = owner:try_commit { a = { balance = 2 } }
      assert.is_true(proxy:fired())
      assert.is_nil(ok)
      assert.truthy(code == "unavailable" or code == "timeout")
      assert.equal(1, owner:load("a").a.balance)
      assert.equal(owner.revision, owner:checkpoint().revision)
    end)

    it("tells a commit without an answer from one that failed", function()
      local owner = kit.own(assert(kit.open(proxied)), kit.account_schema())
      owner:commit { a = { balance = 1 } }
      proxy:rule(COMMIT, "after")
      fails("timeout", "whether it did is not known",
        owner:try_commit { a = { balance = 2 } })
      assert.equal(owner.revision + 1, owner:checkpoint().revision)
      assert.equal(2, owner:load("a").a.balance)
      owner.revision = owner.revision + 1
      proxy:rule(COMMIT, "before")
      fails("timeout", "whether it did is not known",
        owner:try_commit { a = { balance = 3 } })
      helper.wait(is_idle)
      assert.equal(owner.revision, owner:checkpoint().revision)
      owner:commit { a = { balance = 3 } }
    end)

    it("knows that a refused commit was none, come what may", function()
      local owner = kit.own(assert(kit.open(proxied)), kit.account_schema())
      owner.revision = owner.revision + 1
      fails("conflict", "expected revision", owner:try_commit { a = {} })
    end)

    it("says the same of administrative changes", function()
      local owner = kit.own(assert(kit.open(proxied)), kit.account_schema())
      proxy:rule(COMMIT, "after")
      fails("timeout", "not known", owner.store:set_paused(
        "account_summary", true, 1, owner.fence))
      assert.is_true(owner:checkpoint().paused)
    end)

    it("takes over its own projection at once", function()
      local there = assert(kit.open(proxied))
      proxy:rule(COMMIT, "after")
      fails("timeout", "not known", there:acquire("account_summary", "me"))
      assert.equal(2, there:acquire("account_summary", "me"))
    end)
  end)

  describe("a commit that comes late", function()
    local function late_commit()
      local there = assert(kit.open(proxied, { call_timeout_ms = 2000 }))
      local owner = kit.own(there, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      proxy:rule(COMMIT, "late")
      fails("timeout", "not known", owner:try_commit { a = { balance = 9 } })
      assert.is_true(proxy:fired())
      return owner
    end

    it("would land", function()
      local owner = late_commit()
      assert.equal(1, owner:load("a").a.balance)
      proxy:let_go()
      helper.wait(function()
        return owner:load("a").a.balance == 9
      end)
    end)

    it("does not when the projection was acquired anew", function()
      local owner = late_commit()
      local fence = assert(owner.store:acquire("account_summary", "me"))
      proxy:let_go()
      helper.wait(is_idle)
      assert.equal(1, owner:load("a").a.balance)
      owner.fence = fence
      owner:commit { a = { balance = 2 } }
    end)

    it("does not even where its session cannot be ended", function()
      local owner = late_commit()
      owner.store:release("account_summary", owner.fence)
      local worker = as_worker()
      local fence = assert(worker:acquire("account_summary", "worker"))
      proxy:let_go()
      helper.wait(is_idle)
      assert.equal(1, owner:load("a").a.balance)
      owner.store, owner.fence = worker, fence
      owner:commit { a = { balance = 2 } }
    end)
  end)

  describe("a lease", function()
    it("passes on when it has run out, and not before", function()
      local other = assert(store:connect())
      local fence = assert(store:acquire("a", "ada", 2000))
      for _ = 1, 4 do
        helper.sleep_ms(600)
        assert(store:renew("a", fence, 2000))
        fails("owned", "run by ada", other:acquire("a", "bob", 2000))
      end
      local newer = helper.wait(function()
        return other:acquire("a", "bob", 2000)
      end)
      assert.equal(fence + 1, newer)
      fails("conflict", "passed on", store:renew("a", fence))
      fails("owned", "run by bob", store:acquire("a", "ada"))
    end)

    it("stays as long as nobody else takes it", function()
      local owner = kit.own(store, kit.account_schema())
      local fence = assert(store:acquire("account_summary", "me", 1))
      helper.sleep_ms(10)
      owner.fence = fence
      owner:commit { a = { balance = 1 } }
      assert(store:renew("account_summary", fence))
      fails("owned", "run by me",
        assert(store:connect()):acquire("account_summary", "you"))
    end)

    it("says who is heard about the projection", function()
      local function beat(owner)
        return store:publish { { projection = "a", owner = owner,
          state = "live", waiting_for = "", last_error = "",
          events_per_second = 0 } }
      end
      assert(store:acquire("a", "bob", 1))
      assert(store:acquire("a", "ada"))
      assert(beat "ada")
      assert(beat "bob")
      assert(beat "")
      assert.equal("ada", store:heartbeat("a").owner)
      store:release("a", 2)
      assert(beat "")
      assert.equal("", store:heartbeat("a").owner)
    end)

    -- The server's clock was ahead once, or another server's is behind.
    it("does not outlive a clock that was set back", function()
      local fence = assert(store:acquire("a", "ada", 2000))
      assert(store:publish { { projection = "a", owner = "ada",
        state = "live", waiting_for = "", last_error = "",
        events_per_second = 0 } })
      assert.equal("yes", store:heartbeat("a").held)
      database:sql(([[
        UPDATE %s.lunette_owners SET expires_at = expires_at + '1 hour';
        UPDATE %s.lunette_heartbeats SET at = at + '1 hour']]):format(
        query:match "=(.*)", query:match "=(.*)"))
      local heard = store:heartbeat "a"
      assert.equal("unknown", heard.held)
      assert.is_true(heard.age_us < -3000000000)
      assert.equal(fence + 1,
        assert(store:connect()):acquire("a", "bob", 2000))
    end)

    it("cannot be renewed once it was handed back", function()
      local fence = assert(store:acquire("a", "me"))
      store:release("a", fence)
      fails("conflict", "handed back", store:renew("a", fence))
    end)

    it("outlives a killed process by its time only", function()
      local ready = helper.tmpdir() .. "/ready"
      local child = helper.spawn { "lua5.4", "-e", ([[
        package.path = "./?.lua;" .. package.path
        local helper = require "spec.helper"
        local store = assert(require("spec.stores.model_kit").open(%q))
        assert(store:acquire("a", "the child", 1000))
        helper.write_file(%q, "")
        helper.sleep_ms(60000)
      ]]):format(database:with(query), ready) }
      helper.wait(function()
        return io.open(ready)
      end)
      fails("owned", "run by the child", store:acquire("a", "me"))
      child:kill "KILL"
      child:wait()
      helper.wait(function()
        return store:acquire("a", "me")
      end, 5)
    end)

    it("shuts out an owner that has stalled and wakes up", function()
      local owner = kit.own(store, kit.account_schema())
      assert(store:acquire("account_summary", "me", 1))
      owner.fence = owner.fence + 1
      owner:commit { a = { balance = 1 } }
      helper.sleep_ms(10)
      local other = assert(store:connect())
      local fence = assert(other:acquire("account_summary", "other"))
      fails("conflict", "ownership has passed on",
        owner:try_commit { a = { balance = 9 } })
      fails("conflict", "ownership", store:set_paused(
        "account_summary", true, 1, owner.fence))
      owner.store, owner.fence = other, fence
      owner:commit { a = { balance = 2 } }
    end)
  end)

  it("waits for no server that is away to hand an ownership back", function()
    local there = assert(kit.open(proxied, { call_timeout_ms = 300 }))
    local first = assert(there:acquire("a", "here", 60000))
    proxy:stall()
    fails("unavailable", "did not answer", there:list())
    fails("unavailable", "did not answer", there:list())
    proxy:resume()
    there:release("a", first)
    local _, _, code = store:acquire("a", "elsewhere", 60000)
    assert.equal("owned", code)
    assert(there:list())
    there:release("a", first)
    assert(store:acquire("a", "elsewhere", 60000))
    there:close()
  end)

  describe("an owner frozen inside its transaction", function()
    local LEASE = 1500

    -- Its locks are held, and the server hears no more of it.
    local function freeze(pattern)
      local there = assert(kit.open(proxied, { call_timeout_ms = 300 }))
      local owner = kit.own(there, kit.account_schema())
      owner.fence = assert(there:acquire("account_summary", "frozen", LEASE))
      owner:commit { a = { balance = 1 } }
      local models = {}
      for i = 1, 6000 do
        models["m" .. i] = { owner = ("x"):rep(100), balance = i }
      end
      models.a = { balance = 9 }
      proxy:rule(pattern, "stall")
      fails("timeout", "not known", owner:try_commit(models))
      assert.is_true(proxy:fired())
      assert.is_false(is_idle())
      return owner
    end

    local function take_over(other)
      local began = helper.now_ms()
      local fence = helper.wait(function()
        return other:acquire("account_summary", "other", 5000)
      end)
      local taken = helper.now_ms() - began
      assert.is_true(taken < LEASE + 1500, taken)
      return fence
    end

    local function go_on(owner, other, fence)
      owner.store, owner.fence = other, fence
      local began = helper.now_ms()
      helper.wait(function()
        return owner:try_commit { a = { balance = 2 }, m1 = {} }
      end)
      local written = helper.now_ms() - began
      assert.equal(2, owner:load("a").a.balance)
      assert.same({}, owner:load("m1").m1)
      return written
    end

    it("does not hold up a takeover, nor what comes after it", function()
      local owner = freeze "moved AS"
      local written = go_on(owner, store, take_over(store))
      assert.is_true(written < LEASE, written)
      proxy:resume()
      assert.equal(2, owner:load("a").a.balance)
    end)

    it("does not do so just before its commit either", function()
      local owner = freeze(COMMIT)
      go_on(owner, store, take_over(store))
    end)

    it("is ended by its own time limit where nobody may end it", function()
      local owner = freeze(CHECKPOINT)
      local worker = as_worker()
      local fence = take_over(worker)
      go_on(owner, worker, fence)
      helper.wait(is_idle, 5)
    end)

    it("does not keep its lease from being renewed", function()
      local owner = freeze(COMMIT)
      local began = helper.now_ms()
      assert(store:renew("account_summary", owner.fence, 100))
      assert.is_true(helper.now_ms() - began < LEASE)
      go_on(owner, store, take_over(store))
    end)
  end)

  -- Runs the statement in a transaction; call the result to end it.
  local function hold(statement)
    local released = helper.tmpdir() .. "/release"
    local holder = helper.spawn({ "/bin/sh", "-c", ([[
      { echo "BEGIN; %s;"
        while ! [ -e %s ]; do sleep 0.02; done
        echo "COMMIT;"; } | %s/psql -q -X -h %s -U postgres %s]]):format(
      statement, released, server.bin, server.dir, database.name) })
    return function()
      helper.write_file(released, "")
      return holder
    end
  end

  it("keeps every lease but the one whose row is locked", function()
    local a = assert(store:acquire("a", "me"))
    local b = assert(store:acquire("b", "me"))
    local c = assert(store:acquire("c", "me"))
    local release = hold(([[UPDATE f%d.lunette_owners SET owner = owner
      WHERE projection = 'b']]):format(schemas))
    local results
    helper.wait(function()
      results = assert(store:renew_all { { "a", a }, { "b", b }, { "c", c } })
      return results[2] ~= "ok"
    end)
    assert.equal("ok", results[1])
    assert.matches("another connection holds a lock on its ownership",
      results[2])
    assert.equal("ok", results[3])
    release():wait()
    assert.same({ "ok" }, store:renew_all { { "b", b } })
  end)

  it("waits for locks of others, but not for ever", function()
    local hasty = assert(kit.open(database:with(query),
      { busy_timeout_ms = 50 }))
    local owner = kit.own(hasty, kit.account_schema())
    owner:commit { a = { balance = 1 } }
    local release = hold(("UPDATE f%d.lunette_checkpoints SET fence = fence")
      :format(schemas))
    helper.wait(function()
      local ok, message, code = owner:try_commit { a = { balance = 2 } }
      if ok then
        owner.revision = owner.revision + 1
        return false
      end
      assert.equal("unavailable", code)
      return message:find "a lock is held by process %d+ %(user postgres, "
        and message:find("program psql, in a transaction since [%d:]+ "
          .. "UTC: UPDATE f" .. schemas)
    end)
    local holder = release()
    helper.wait(function()
      return owner:try_commit { a = { balance = 3 } }
    end)
    assert.equal(3, owner:load("a").a.balance)
    holder:wait()
    hasty:close()
  end)

  it("gives up waiting for a server that does not answer", function()
    local there = assert(kit.open(proxied, { call_timeout_ms = 1000 }))
    local owner = kit.own(there, kit.account_schema())
    proxy:stall()
    local began = helper.now_ms()
    fails("unavailable", "did not answer within 1000 ms",
      there:load(owner.schema, { "a" }))
    fails("unavailable", "did not answer within 1000 ms",
      owner:try_commit { a = {} })
    assert.is_true(helper.now_ms() - began < 5000)
    proxy:resume()
    owner:commit { a = { balance = 1 } }
  end)

  describe("on a server that is stopped", function()
    it("waits for it and has lost nothing", function()
      local own = assert(postgres.own { fsync = true })
      local there = own:new_database()
      local models = assert(kit.open(there.url))
      local owner = kit.own(models, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      own:stop "immediate"
      fails("unavailable", "", owner:try_commit { a = { balance = 2 } })
      fails("unavailable", "", owner:try_commit { a = { balance = 2 } })
      own:start()
      helper.wait(function()
        return owner:try_commit { a = { balance = 2 } }
      end)
      assert.equal(2, owner:load("a").a.balance)
      assert.equal(owner.revision + 1, owner:checkpoint().revision)
      models:close()
      own:stop()
    end)
  end)
end)
