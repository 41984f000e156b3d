-- Projections whose models file is wanted by others too: another process that
-- holds its write lock, and another projection with long transactions.

local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"
local lunette = require "lunette"

local seed = helper.seed(3)

describe("a models file that others write to, seed " .. seed, function()
  local folder, r, events, engine, holder

  before_each(function()
    r = helper.random(seed)
    folder = helper.tmpdir()
    events = {}
  end)

  after_each(function()
    os.remove(folder .. "/held")
    if holder then
      holder:wait()
      holder = nil
    end
    if engine then
      engine:close()
      engine = nil
    end
  end)

  local function open(settings)
    local all = {
      events = "sqlite:" .. folder .. "/events.db",
      models = "sqlite:" .. folder .. "/models.db",
      busy_timeout_ms = 10,
      batch_events = 50,
    }
    for name, value in pairs(settings or {}) do
      all[name] = value
    end
    engine = assert(lunette.open(all))
    for _, name in ipairs { "ledger", "parking" } do
      assert(engine:register { source = ledger.scripts[name] })
    end
    return engine
  end

  local function append(count)
    local list = ledger.events(r, #events + 1, count)
    helper.wait(function() -- models of the same file may be written just now
      local done, message, code = engine:append(list)
      assert(done or code == "unavailable", message)
      return done
    end)
    table.move(list, 1, count, #events + 1, events)
  end

  -- Another process takes the write lock and keeps it until release().
  local function hold(file)
    holder = helper.spawn({ "sqlite3", folder .. "/" .. file }, {
      stdin = ".timeout 10000\nBEGIN IMMEDIATE;\n"
        .. (".shell touch %s; while [ -e %s ]; do sleep 0.02; done\n")
          :format(folder .. "/held", folder .. "/held")
        .. "COMMIT;\n",
    })
    helper.wait(function()
      return io.open(folder .. "/held")
    end):close()
  end

  local function release()
    os.remove(folder .. "/held")
    assert.equal(0, holder:wait(), holder:stderr())
    holder = nil
  end

  local function status(name)
    for _, projection in ipairs(assert(engine:status())) do
      if projection.name == name then
        return projection
      end
    end
  end

  local function wait_until_it_waits(name)
    helper.wait(function()
      local found = status(name)
      assert.not_equal("failed", found.state)
      return found.waiting_for ~= lunette.null
        and found.waiting_for:find("locked by another process", 1, true)
    end)
  end

  local function assert_exact()
    for _, name in ipairs { "ledger", "parking" } do
      assert(engine:wait { projection = name, timeout = 20 })
      assert.equal(#events,
        ledger.check(engine, name, ledger.fold(name), events))
      assert.equal(lunette.null, status(name).waiting_for)
    end
    assert.equal(lunette.null, status("ledger").last_error)
  end

  describe("while another process holds its lock", function()
    it("keeps live projections waiting, and they say so #threads", function()
      open()
      assert(engine:start())
      append(20)
      assert_exact()
      hold "models.db"
      append(20)
      wait_until_it_waits "ledger"
      wait_until_it_waits "parking"
      release()
      assert_exact()
    end)

    it("keeps them waiting in the middle of a long log #threads", function()
      open()
      append(6000)
      assert(engine:start())
      for _ = 1, 3 do
        hold "models.db"
        append(100) -- in case it has got to the end by now
        wait_until_it_waits "ledger"
        release()
      end
      assert_exact()
    end)

    it("keeps them waiting before they own anything #threads", function()
      open()
      append(100)
      hold "models.db"
      assert(engine:start())
      wait_until_it_waits "ledger"
      release()
      assert_exact()
    end)

    it("makes a step say that it is worth another try", function()
      open()
      append(100)
      assert.equal(50, engine:step "ledger")
      hold "models.db"
      local stepped, message, code = engine:step "ledger"
      assert.is_nil(stepped)
      assert.equal("unavailable", code)
      assert.matches("models.db is locked by another process", message, 1, true)
      assert.not_equal("failed", status("ledger").state)
      release()
      assert_exact()
    end)

    it("lets a run to the head wait as well #threads", function()
      open()
      append(6000)
      hold "models.db"
      local child = helper.spawn { helper.lunette, "run", "--once",
        "-e", "sqlite:" .. folder .. "/events.db",
        "-m", "sqlite:" .. folder .. "/models.db",
        "-p", helper.write_file(folder .. "/ledger.lua",
          ledger.scripts.ledger), "--busy-timeout-ms", "10" }
      helper.wait(function()
        return child:stderr():find("ledger waits: [^\n]* is locked by another")
      end)
      release()
      assert.equal(0, child:wait(), child:stderr())
      assert_exact()
    end)

    it("keeps a single file's events out, and then takes them #threads",
      function()
        open { models = "sqlite:" .. folder .. "/events.db" }
        assert(engine:start())
        append(50)
        hold "events.db"
        local done, _, code = engine:append(ledger.events(r, 51, 1))
        assert.is_nil(done)
        assert.equal("unavailable", code)
        release()
        r = helper.random(seed + 1)
        append(50)
        assert_exact()
      end)
  end)

  it("gives a live projection its turn beside one catching up #threads",
    function()
      open { batch_events = 10, busy_timeout_ms = 5000 }
      append(1)
      assert_exact()
      assert(engine:register { source = [[
        return {
          name = "ticks",
          version = 1,
          handles = { "Ticked" },
          extract_model_id = function() return "all" end,
          apply_to_model = function(model)
            return { count = (model or { count = 0 }).count + 1 }
          end,
        }]] })
      local noise = {}
      for i = 1, 30000 do
        noise[i] = {
          stream = "s",
          type = "Opened",
          data = { accounts = { "a" .. i }, serial = i, amount = 1 },
        }
      end
      local last = assert(engine:append(noise))
      assert(engine:start())
      assert(engine:wait { projection = "ticks", timeout = 20 })
      local function is_catching_up()
        return math.tointeger(engine:checkpoint("ledger").position)
          < math.tointeger(last)
      end
      local turns = 0
      while turns < 20 and is_catching_up() do
        local position = assert(engine:append {
          stream = "t",
          type = "Ticked",
          data = {},
        })
        assert(engine:wait {
          projection = "ticks",
          after = position,
          timeout = 20,
        })
        turns = turns + 1
        assert.equal(turns, engine:get("ticks", "all").count)
      end
      assert.is_true(turns >= 3)
    end)
end)
