-- A whole life of two projections in which the first call to a store fails,
-- then the second, and so on until nothing was left to fail.

local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"
local lunette = require "lunette"

local seed = helper.seed(20)

describe("with the n-th call to a store failing, seed " .. seed,
  function()
    local folder, early, late, all

    lazy_setup(function()
      local r = helper.random(seed)
      early = ledger.events(r, 1, 90)
      late = ledger.events(r, 91, 60)
      early[#early].type, late[#late].type = "Noise", "Noise"
      late[#late - 1].type = "Closed"
      for _, place in ipairs { 30, 70 } do
        early[place].type = "Opened"
        early[place].data.accounts[2] = nil
        early[place].data.poison = early[place].data.accounts[1]
      end
      all = table.move(late, 1, #late, #early + 1, { table.unpack(early) })
    end)

    -- events, models: prefix and query of a store to wrap it in.
    local function open(events, models)
      local function url(faults, file)
        local path = "sqlite:" .. folder .. "/" .. file
        return faults and "faulty+" .. path .. "?" .. faults or path
      end
      return lunette.open {
        events = url(events, "events.db"),
        models = url(models, "models.db"),
        batch_events = 16,
        memory_bytes = 4096,
        synchronous = "off", -- only the process may die here
      }
    end

    local function catch_up(engine, name)
      local result
      repeat
        result = table.pack(engine:step(name))
      until not result[1]
      return result[1] == false, table.unpack(result, 2)
    end

    -- What happens to the projections, one thing after the other.
    local function steps(engine)
      return {
        function()
          return engine:append(early)
        end,
        function()
          return engine:register { source = ledger.scripts.ledger }
        end,
        function()
          return engine:register { source = ledger.scripts.parking }
        end,
        function()
          return catch_up(engine, "ledger")
        end,
        function()
          return catch_up(engine, "parking")
        end,
        function()
          return engine:append(late)
        end,
        function()
          return catch_up(engine, "parking")
        end,
        function()
          return engine:register { source = ledger.scripts.mended }
        end,
        function()
          return engine:retry "parking"
        end,
        function()
          return engine:pause "ledger"
        end,
        function()
          return engine:resume "ledger"
        end,
        function()
          return engine:rebuild "ledger"
        end,
        function()
          return catch_up(engine, "ledger")
        end,
      }
    end

    local function assert_told(message)
      assert.matches("as it was told to", message, 1, true)
    end

    -- Nobody wants the last event: to be past the one before it is enough.
    local function assert_outcome()
      local engine <close> = assert(open())
      for projection, fold in pairs { ledger = "ledger", parking = "mended" } do
        assert.is_true(ledger.check(engine, projection, ledger.fold(fold), all)
          >= #all - 1)
      end
    end

    local function take_steps(engine)
      for _, step in ipairs(steps(engine)) do
        local ok, message = step()
        if not ok then
          return nil, message
        end
      end
      return true
    end

    -- A program that ends at its first failure and is started once more, with
    -- stores that work. True if there was no failure.
    local function give_up(events, models)
      local engine, message = open(events, models)
      local ok
      if engine then
        ok, message = take_steps(engine)
        engine:close()
      end
      if not ok then
        assert_told(message)
      end
      engine = assert(open())
      assert(take_steps(engine))
      engine:close()
      assert_outcome()
      return ok
    end

    -- A program that tries once more what failed. True if nothing did.
    local function go_on(events, models)
      local engine, message = open(events, models)
      local untouched = engine ~= nil
      if not engine then
        assert_told(message)
        engine = assert(open())
      end
      for _, step in ipairs(steps(engine)) do
        local ok
        ok, message = step()
        if not ok then
          assert_told(message)
          assert.is_true(untouched)
          untouched = false
          assert(step())
        end
      end
      engine:close()
      assert_outcome()
      return untouched
    end

    -- A look for requests may fail and nobody minds; so many calls in a row
    -- that nobody minds are not there. How many there were.
    local function sweep(live, store, query, in_a_row)
      local n, unminded = 0, 0
      repeat
        n = n + 1
        folder = helper.tmpdir()
        local faults = query:gsub("N", n)
        local ok
        if store == "events" then
          ok = live(faults, nil)
        else
          ok = live(nil, faults)
        end
        unminded = ok and unminded + 1 or 0
      until unminded == in_a_row
      return n - in_a_row
    end

    -- Requests wait for models that are away: theirs nobody minds.
    for _, case in ipairs {
      { "models", "fail=any:N&code=io", 60 },
      { "models", "fail=any:N&code=unavailable", 60, 30 },
      { "models", "fail=commit:N&code=io&when=after", 15 },
      { "events", "fail=any:N&code=io", 30 },
      { "events", "fail=any:N&code=unavailable", 30 },
      { "events", "fail=append:N&code=io&when=after", 2 },
    } do
      local store, query, least, in_a_row = table.unpack(case)
      in_a_row = in_a_row or 3

      it(("ends as if nothing had been: %s, %s"):format(store, query),
        function()
          assert.is_true(sweep(give_up, store, query, in_a_row) >= least)
        end)

      it(("recovers at the next try: %s, %s"):format(store, query), function()
        assert.is_true(sweep(go_on, store, query, in_a_row) >= least)
      end)
    end

    -- ---- on threads

    -- Ask again what was struck.
    local function insist(call)
      for _ = 1, 3 do
        local ok, message = call()
        if ok then
          return
        end
        assert_told(message)
      end
      error "it fails again and again"
    end

    -- Run both projections to the head; how often one of them failed.
    local function run(events, models)
      local failures = 0
      local engine = open(events, models) or assert(open())
      for _, name in ipairs { "ledger", "parking" } do
        insist(function()
          return engine:register { source = ledger.scripts[name] }
        end)
      end
      insist(function()
        return engine:append(early)
      end)
      insist(function()
        return engine:start()
      end)
      insist(function()
        return engine:append(late)
      end)
      for _, name in ipairs { "ledger", "parking" } do
        insist(function()
          local ok, message = engine:wait { projection = name, timeout = 20 }
          if not ok and message:find(name .. " has failed", 1, true) then
            failures = failures + 1
            insist(function()
              return engine:resume(name)
            end)
          end
          return ok, message
        end)
      end
      engine:close()
      return failures
    end

    local function run_often(store, query, most)
      local failures = 0
      for n = 1, most do
        folder = helper.tmpdir()
        local faults = query:gsub("N", n)
        if store == "events" then
          failures = failures + run(faults, nil)
        else
          failures = failures + run(nil, faults)
        end
        local engine <close> = assert(open())
        assert(engine:register { source = ledger.scripts.mended })
        assert(engine:retry "parking")
        assert_outcome()
      end
      return failures
    end

    it("waits for models that are away, on threads #threads", function()
      assert.equal(0, run_often("models",
        "fail=any:N&code=unavailable&times=2", 40))
    end)

    it("waits for events that are away, on threads #threads", function()
      assert.equal(0, run_often("events",
        "fail=any:N&code=unavailable&times=2", 25))
    end)

    it("goes on after a resume, on threads #threads", function()
      assert.is_true(run_often("models", "fail=any:N&code=io", 40) > 5)
      assert.is_true(run_often("events", "fail=any:N&code=io", 25) > 5)
    end)
  end)
