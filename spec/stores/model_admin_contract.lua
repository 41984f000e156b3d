-- What every model store must do beside its models: checkpoints that are set,
-- requests, heartbeats, events set aside.

local assert = require "luassert"
local busted = require "busted"
local kit = require "spec.stores.model_kit"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it

local function ids_of(list)
  local ids = {}
  for i, item in ipairs(list) do
    ids[i] = item.id
  end
  return table.concat(ids, " ")
end

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.truthy(message:find(pattern), message)
end

local function administration(open)
  describe("the checkpoint", function()
    it("can be set", function()
      local owner = kit.own(open(), kit.account_schema())
      local store = owner.store
      local high = ("f"):rep(32)
      assert(store:set_position(
        "account_summary", high, "a\0b", owner.revision, owner.fence))
      local c = owner:checkpoint()
      assert.equal(high, c.position)
      assert.equal("a\0b", c.source_state)
      assert.equal(owner.revision + 1, c.revision)
      fails("conflict", "revision", store:set_position(
        "account_summary", 0, nil, owner.revision, owner.fence))
      fails("not_found", "other",
        store:set_position("other", 0, nil, 0, owner.fence))
    end)

    it("remembers a pause", function()
      local owner = kit.own(open(), kit.account_schema())
      local store = owner.store
      owner:commit()
      assert(store:set_paused("account_summary", true, 1, owner.fence))
      assert.is_true(owner:checkpoint().paused)
      fails("conflict", "revision",
        store:set_paused("account_summary", false, 1, owner.fence))
      fails("conflict", "ownership",
        store:set_paused("account_summary", false, 2, owner.fence + 1))
      fails("not_found", "other", store:set_paused("other", true, 0, 0))
      owner:commit()
      assert.is_true(owner:checkpoint().paused)
      assert(store:set_paused("account_summary", false, 2, owner.fence))
      assert.is_false(owner:checkpoint().paused)
      assert.equal(3, owner:checkpoint().projection_revision)
    end)
  end)

  describe("requests", function()
    it("wait for their projection in order", function()
      local store = open()
      local first = assert(store:request_post("a", "pause"))
      local other = assert(store:request_post("b", "resume"))
      local second = assert(store:request_post("a", "retry", "id-1"))
      assert.is_true(first < other and other < second)
      assert.same({ number = first, projection = "a", build = 1, shard = 0,
        kind = "pause",
        argument = "" }, store:request_next "a")
      assert(store:request_finish(first))
      assert.same({ number = second, projection = "a", build = 1, shard = 0,
        kind = "retry",
        argument = "id-1" }, store:request_next "a")
      assert(store:request_finish(second, "ok"))
      fails("not_found", '"a"', store:request_next "a")
      assert.equal("resume", store:request_next("b").kind)
    end)

    it("are seen by one look for all projections", function()
      local store = open()
      assert.same({}, store:requests_waiting())
      local first = assert(store:request_post("a", "pause"))
      local shard = { "a", build = 2, shard = 1 }
      local second = assert(store:request_post("a", "retry", "id-1"))
      local third = assert(store:request_post(shard, "resume"))
      local waiting = store:requests_waiting()
      table.sort(waiting)
      assert.same({ "a/1/0", "a/2/1" }, waiting)
      assert(store:request_finish(first))
      assert(store:request_finish(third))
      assert.same({ "a/1/0" }, store:requests_waiting())
      assert(store:request_finish(second))
      assert.same({}, store:requests_waiting())
    end)

    it("carry every kind", function()
      local store = open()
      for _, kind in ipairs { "pause", "resume", "rebuild", "retry",
        "discard", "set_checkpoint", "delete_checkpoint",
        "adopt_checkpoint" } do
        local number = assert(store:request_post("a", kind, ("x"):rep(1000)))
        local request = store:request_next "a"
        assert.equal(kind, request.kind)
        assert.equal(1000, #request.argument)
        assert(store:request_finish(number))
      end
    end)

    it("are answered once, to whoever asks from another connection", function()
      local store = open()
      local asking = assert(store:connect())
      local number = assert(asking:request_post("a", "rebuild"))
      fails("again", "still waits", asking:request_result(number))
      assert(store:request_finish(number, "script", "line 3: no"))
      fails("script", "^line 3: no$", asking:request_result(number))
      fails("not_found", "request", asking:request_result(number))
      number = assert(asking:request_post("a", "rebuild"))
      assert(store:request_finish(number))
      assert.is_true(asking:request_result(number))
    end)

    it("can be withdrawn", function()
      local store = open()
      local number = assert(store:request_post("a", "pause"))
      fails("again", "waits", store:request_result(number, true))
      fails("not_found", '"a"', store:request_next "a")
      fails("not_found", "request", store:request_finish(number))
    end)

    it("survive the projection they are about", function()
      local owner = kit.own(open(), kit.account_schema())
      local number = assert(
        owner.store:request_post("account_summary", "delete_checkpoint"))
      assert(owner.store:drop("account_summary", owner.revision, owner.fence))
      assert(owner.store:request_finish(number))
      assert.is_true(owner.store:request_result(number))
    end)
  end)

  describe("heartbeats", function()
    it("replace each other", function()
      local store = open()
      local function beat(projection, state)
        return {
          projection = projection,
          build = 1,
          shard = 0,
          owner = "host, process 7",
          state = state,
          waiting_for = "the events",
          last_error = "it's \"odd\"",
          events_per_second = 1234.5,
        }
      end
      local function read(projection)
        local heard = assert(store:heartbeat(projection))
        heard.held, heard.age_us = nil, nil
        return heard
      end
      assert(store:publish { beat("a", "live"), beat("b", "failed") })
      assert.same(beat("a", "live"), read "a")
      assert(assert(store:connect()):publish { beat("a", "paused") })
      assert.same(beat("a", "paused"), read "a")
      assert.same(beat("b", "failed"), read "b")
      fails("not_found", '"c"', store:heartbeat "c")
      assert(store:publish {})
    end)

    it("have an age, and are the owner's or not", function()
      local store = open()
      local function beat(owner)
        assert(store:publish { { projection = "a", owner = owner,
          state = "live", waiting_for = "", last_error = "",
          events_per_second = 0 } })
        return store:heartbeat "a"
      end
      assert.equal("no", beat("ada").held)
      local fence = assert(store:acquire("a", "ada"))
      assert.equal("yes", beat("ada").held)
      assert.is_true(beat("ada").age_us >= 0)
      assert.is_true(beat("ada").age_us < 20000000)
      store:release("a", fence)
      assert.equal("no", store:heartbeat("a").held)
      assert(store:acquire("a", "bob"))
      assert.equal("no", store:heartbeat("a").held)
    end)
  end)
end

local function set_aside(open)
  describe("events set aside", function()
    it("land together with models and position", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({ b = { balance = 1 } },
        { position = 9, parked = { kit.aside(2, "a"), kit.aside(5, "a") } })
      local c = owner:checkpoint()
      assert.equal(9, c.position)
      assert.equal(2, c.parked_count)
      local parked = owner.store:parked "account_summary"
      for i, n in ipairs { 2, 5 } do
        local expected = kit.aside(n, "a", { number = parked[i].number })
        assert.same(expected, parked[i])
      end
    end)

    it("are parked in order, model by model", function()
      local owner = kit.own(open(), kit.account_schema())
      local store = owner.store
      owner:commit({}, { parked = { kit.aside(1, "a"), kit.aside(2, "b") } })
      owner:commit({}, { parked = { kit.aside(3, "a"), kit.aside(4, "it's") } })
      local all = store:parked "account_summary"
      assert.equal("event-1 event-2 event-3 event-4", ids_of(all))
      for i = 2, 4 do
        assert.is_true(all[i - 1].number < all[i].number)
      end
      assert.equal("event-1 event-3", ids_of(
        store:parked("account_summary", "a")))
      assert.equal("event-3", ids_of(
        store:parked("account_summary", "a", all[1].number)))
      assert.equal("event-2 event-3", ids_of(
        store:parked("account_summary", nil, all[1].number, 2)))
      assert.equal("", ids_of(store:parked("account_summary", "nobody")))
      assert.same({ "a", "b", "it's" }, store:parked_ids "account_summary")
    end)

    it("leave by number, and number on", function()
      local owner = kit.own(open(), kit.account_schema())
      local store = owner.store
      owner:commit({}, { parked = { kit.aside(1, "a"), kit.aside(2, "b"),
        kit.aside(3, "b") } })
      local all = store:parked "account_summary"
      owner:commit({ b = { balance = 3 } },
        { unparked = { all[3].number, all[2].number, 999 } })
      assert.equal("event-1", ids_of(store:parked "account_summary"))
      assert.equal(1, owner:checkpoint().parked_count)
      owner:commit({}, { unparked = { all[1].number },
        parked = { kit.aside(1, "a", { error = "again" }) } })
      local again = store:parked "account_summary"
      assert.equal("again", again[1].error)
      assert.is_true(again[1].number > all[3].number)
      assert.same({ "a" }, store:parked_ids "account_summary")
    end)

    it("stay with the newest error", function()
      local owner = kit.own(open(), kit.account_schema())
      local store = owner.store
      owner:commit({}, { parked = { kit.aside(1, "a"), kit.aside(2, "b"),
        kit.aside(3, "b") } })
      local all = store:parked "account_summary"
      owner:commit({}, { unparked = { all[2].number }, new_errors = {
        { number = all[3].number, error = "it's worse, Ł" },
        { number = all[1].number, error = "" },
        { number = 999, error = "nobody's" },
      } })
      all[1].error, all[3].error = "", "it's worse, Ł"
      table.remove(all, 2)
      assert.same(all, store:parked "account_summary")
      fails("conflict", "expected revision", owner:try_commit({}, {
        revision = owner.revision + 1,
        new_errors = { { number = all[1].number, error = "not this" } } }))
      assert.same(all, store:parked "account_summary")
    end)

    it("belong to their projection", function()
      local store = open()
      local a = kit.own(store, kit.schema { projection = "a" }, "a")
      local b = kit.own(store, kit.schema { projection = "b" }, "b")
      a:commit({}, { parked = { kit.aside(1, "x") } })
      b:commit({}, { parked = { kit.aside(2, "x") } })
      assert.equal("event-1", ids_of(store:parked "a"))
      assert.equal("event-2", ids_of(store:parked("b", "x")))
      local number = store:parked("b")[1].number
      a:commit({}, { unparked = { number },
        new_errors = { { number = number, error = "another's" } } })
      assert.equal(kit.aside(2, "x").error, store:parked("b")[1].error)
      assert.equal("event-2", ids_of(store:parked "b"))
      fails("not_found", '"c"', store:parked "c")
      fails("not_found", '"c"', store:parked_ids "c")
      fails("not_found", '"c"', store:skipped "c")
    end)

    it("are skipped with the latest first", function()
      local owner = kit.own(open(), kit.account_schema())
      owner:commit({}, { skipped = { kit.aside(1, "a"), kit.aside(2) } })
      owner:commit({}, { skipped = { kit.aside(3, "a") } })
      local skipped = owner.store:skipped "account_summary"
      assert.equal("event-3 event-2 event-1", ids_of(skipped))
      assert.is_nil(skipped[2].model_id)
      assert.equal("event-3", ids_of(owner.store:skipped("account_summary", 1)))
      assert.equal(3, owner:checkpoint().skipped_count)
    end)

    it("are forgotten when a thousand later ones were skipped", function()
      local owner = kit.own(open(), kit.account_schema())
      local items = {}
      for i = 1, 1500 do
        items[i] = kit.aside(i, "a")
      end
      owner:commit({}, { skipped = items })
      owner:commit({}, { skipped = { kit.aside(1501, "a") } })
      local skipped = owner.store:skipped "account_summary"
      assert.equal(1000, #skipped)
      assert.equal("event-1501", skipped[1].id)
      assert.equal("event-502", skipped[1000].id)
      assert.equal(1501, owner:checkpoint().skipped_count)
    end)
  end)
end

return function(open)
  administration(open)
  set_aside(open)
end
