-- The engine with nothing, and with very much of everything.

local helper = require "spec.helper"
local lunette = require "lunette"

describe("the engine at its ends", function()
  local folder, engine

  local function open(settings)
    local all = {
      events = "sqlite:" .. folder .. "/events.db",
      models = "sqlite:" .. folder .. "/models.db",
    }
    for name, value in pairs(settings or {}) do
      all[name] = value
    end
    engine = assert(lunette.open(all))
    return engine
  end

  before_each(function()
    folder = helper.tmpdir()
    open()
  end)

  after_each(function()
    engine:close()
  end)

  local function register(name, body)
    return assert(engine:register {
      source = ("return { name = %q, version = 1, %s }"):format(name, body),
    })
  end

  -- One model a key, which counts.
  local function register_counter(name)
    return register(name, [[
      extract_model_id = function(event) return event.data.keys end,
      apply_to_model = function(model, event)
        return { count = (model or { count = 0 }).count + 1 }
      end]])
  end

  local function append(data, kind)
    return assert(engine:append { stream = "s", type = kind or "T",
      data = data })
  end

  local function status(name)
    for _, projection in ipairs(assert(engine:status())) do
      if projection.name == name then
        return projection
      end
    end
  end

  local function sql(file, statement)
    local code, out, err = helper.run({ "sqlite3", folder .. "/" .. file },
      { stdin = statement })
    assert(code == 0, err)
    return out
  end

  describe("with nothing", function()
    it("runs without projections", function()
      append {}
      assert(engine:run_once())
      assert.same({}, engine:status())
      assert(engine:start())
      assert(engine:stop())
    end)

    it("is caught up with an empty event store", function()
      register_counter "counter"
      assert.equal(false, engine:step "counter")
      assert(engine:run_once())
      assert(engine:wait { projection = "counter", timeout = 20 })
      assert.same({}, engine:query("counter"))
      assert.equal("0", status("counter").position)
      assert.equal(0, status("counter").lag_events)
      assert(engine:start())
      assert(engine:wait { projection = "counter", timeout = 20 })
      append { keys = "a" }
      assert(engine:wait { projection = "counter", timeout = 20 })
      assert.equal(1, engine:get("counter", "a").count)
    end)

    it("moves over what a projection does not want, once and for all",
      function()
        local body = [[
          handles = { "Wanted" },
          extract_model_id = function() return "all" end,
          apply_to_model = function(model) return { seen = true } end]]
        for i = 1, 300 do
          append({ i = i }, "Other")
        end
        register("picky", body)
        assert(engine:run_once())
        assert.equal("300", engine:checkpoint("picky").position)
        assert.same({}, engine:query "picky")
        engine:close()

        -- What is read again would be refused.
        sql("events.db", "UPDATE events SET recorded_at = 'now', "
          .. "type = 'Wanted' WHERE position < 300")
        open()
        register("picky", body)
        append({}, "Wanted")
        assert(engine:wait { projection = "picky", timeout = 20 })
        assert.is_true(engine:get("picky", "all").seen)
      end)

    it("writes down a position that moved alone, while it is live #threads",
      function()
        register("picky", [[
          handles = { "Wanted" },
          extract_model_id = function() return "all" end,
          apply_to_model = function(model) return { seen = true } end]])
        assert(engine:start())
        append({}, "Wanted")
        assert(engine:wait { projection = "picky", timeout = 20 })
        for _ = 1, 3 do
          append({}, "Other")
        end
        local other <close> = assert(lunette.open {
          events = "sqlite:" .. folder .. "/events.db",
          models = "sqlite:" .. folder .. "/models.db",
        })
        assert(other:wait { projection = "picky", timeout = 20 })
        assert.equal("4", other:checkpoint("picky").position)
      end)

    it("makes no model of nil", function()
      register("shy", [[
        extract_model_id = function(event) return event.data.key end,
        apply_to_model = function(model, event)
          return event.data.value and { value = event.data.value } or nil
        end]])
      append { key = "a" }
      append { key = "b", value = 1 }
      append { key = "b" }
      append { key = "b" }
      append { key = "c", value = 2 }
      append {}
      assert(engine:wait { projection = "shy", timeout = 20 })
      assert.same({ { id = "c", value = 2 } }, engine:query "shy")
    end)
  end)

  describe("with very much", function()
    it("takes events of megabytes", function()
      register("copies", [[
        extract_model_id = function(event) return event.data.key end,
        apply_to_model = function(model, event)
          return { text = event.data.text, count = (model or { count = 0 })
            .count + 1 }
        end]])
      local text = ("0123456789abcde\n"):rep(200000)
      for i = 1, 6 do
        append { key = "a" .. i % 2, text = text .. i }
      end
      assert(engine:wait { projection = "copies", timeout = 60 })
      local model = assert(engine:get("copies", "a1"))
      assert.equal(3, model.count)
      assert.is_true(model.text == text .. 5)
    end)

    it("cuts batches where they have bytes enough", function()
      engine:close()
      open { memory_bytes = 65536 }
      register_counter "counter"
      for _ = 1, 10 do
        append { keys = "a", text = ("x"):rep(30000) }
      end
      assert.equal(2, engine:step "counter")
      assert(engine:wait { projection = "counter", timeout = 20 })
      assert.equal(10, engine:get("counter", "a").count)
    end)

    it("takes ids of 1,000 bytes and refuses longer ones", function()
      register_counter "counter"
      local long = ("é"):rep(500)
      append { keys = long }
      append { keys = { long } }
      assert(engine:wait { projection = "counter", timeout = 20 })
      assert.equal(2, engine:get("counter", long).count)
      append { keys = long .. "x" }
      local ok, message, code = engine:wait { projection = "counter",
        timeout = 20 }
      assert.is_nil(ok)
      assert.equal("script", code)
      assert.matches("a model id has 1001 bytes; at most 1000 are allowed",
        message)
      assert.equal("2", engine:checkpoint("counter").position)
    end)

    it("takes thousands of models for one event", function()
      engine:close()
      open { memory_bytes = 20000 }
      register_counter "counter"
      local keys = {}
      for i = 1, 5000 do
        keys[i] = "model-" .. i
      end
      append { keys = keys }
      append { keys = keys }
      append { keys = "model-77" }
      assert(engine:wait { projection = "counter", timeout = 60 })
      assert.equal(5000, #engine:query("counter", { "limit=10000" }))
      assert.equal(3, engine:get("counter", "model-77").count)
      assert.equal(2, engine:get("counter", "model-5000").count)
    end)

    it("runs forty projections at once #threads", function()
      for i = 1, 40 do
        register_counter("counter_" .. i)
      end
      assert(engine:start())
      for _ = 1, 20 do
        append { keys = { "a", "b" } }
      end
      for i = 1, 40 do
        assert(engine:wait { projection = "counter_" .. i, timeout = 60 })
        assert.equal(20, engine:get("counter_" .. i, "a").count)
      end
    end)
  end)

  it("lets one projection fail beside another in one file #threads",
    function()
      register_counter "counter"
      register("failing", [[
        extract_model_id = function(event) return event.data.keys end,
        apply_to_model = function(model, event)
          if event.position == "3" then error "three" end
          return { last = event.position }
        end]])
      assert(engine:start())
      for _ = 1, 5 do
        append { keys = "a" }
      end
      assert(engine:wait { projection = "counter", timeout = 20 })
      local ok, message = engine:wait { projection = "failing", timeout = 20 }
      assert.is_nil(ok)
      assert.matches("failing has failed: .*event 3 .*three", message)
      assert.equal(5, engine:get("counter", "a").count)
      assert.equal("2", engine:get("failing", "a").last)
      assert.equal("failed", status("failing").state)
      assert.equal("live", status("counter").state)
    end)
end)
