-- The step of a projection, and what it finds when it begins.

local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

local function script(options)
  return ([[
return {
  name = "tally",
  version = %d,
  fields = { %s },
  %s
  extract_model_id = function(event) return event.data.ids end,
  apply_to_model = function(model, event)
    if event.data.gone then return nil end
    return { n = event.data.n, count = (model and model.count or 0) + 1 }
  end,
}]]):format(options.version or 1,
    options.fields or 'n = "integer", count = "integer"',
    options.more or "")
end

for _, kind in ipairs(kit.kinds) do
  describe("a step on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function open(settings, options)
      local engine = kit.open(kit.stores(kind), settings)
      kit.register(engine, script(options or {}))
      return engine
    end

    it("applies one batch, and says how large it was", function()
      local engine = open { batch_events = 2, live_events = 2 }
      kit.append(engine, {
        { n = 1, ids = "a" }, { n = 2, ids = "a" }, { n = 3, ids = "b" },
      })
      assert.equal(2, engine:step "tally")
      assert.equal("2", engine:checkpoint("tally").position)
      assert.same({ a = { n = 2, count = 2 } }, kit.models(engine, "tally"))
      assert.equal(1, engine:step "tally")
      assert.is_false(engine:step "tally")
      assert.equal("3", engine:checkpoint("tally").position)
    end)

    it("takes one id, several, each once, or none", function()
      local engine = open()
      kit.append(engine, {
        { n = 1, ids = { "a", "b", "a" } },
        { n = 2 },
        { n = 3, ids = lunette.array {} },
        { n = 4, ids = 7 },
      })
      assert.equal(4, engine:step "tally")
      assert.same({
        a = { n = 1, count = 1 },
        b = { n = 1, count = 1 },
        ["7"] = { n = 4, count = 1 },
      }, kit.models(engine, "tally"))
    end)

    it("deletes a model, and makes it anew, in any batch", function()
      for _, size in ipairs { 1, 2, 100 } do
        local engine = open { batch_events = size, live_events = size }
        kit.append(engine, {
          { n = 1, ids = { "a", "b" } },
          { n = 2, ids = { "a", "b", "never" }, gone = true },
          { n = 3, ids = "a" },
        })
        assert(engine:run_once())
        assert.same({ a = { n = 3, count = 1 } },
          kit.models(engine, "tally"))
      end
    end)

    it("moves over events of other types, and commits that", function()
      local engine = open({}, { more = 'handles = { "Wanted" },' })
      local list = {}
      for n = 1, 3000 do
        list[n] = { n = n, ids = "a" }
      end
      kit.append(engine, list)
      assert(engine:run_once())
      assert.equal("3000", engine:checkpoint("tally").position)
      assert.equal(0, kit.status(engine, "tally").lag_events)
      assert.same({}, kit.models(engine, "tally"))
    end)

    it("is refused while the engine steps by itself #threads", function()
      local engine = open()
      assert(engine:start())
      local ok, message, code = engine:step "tally"
      assert.is_nil(ok)
      assert.equal("config", code)
      assert.matches("the engine is running and steps by itself", message)
    end)

    it("commits models and checkpoint, or neither", function()
      for _, code in ipairs { "io", "unavailable" } do
        local stores = kit.stores(kind)
        stores.models = "faulty+" .. stores.models
          .. "?fail=commit:2&code=" .. code
        local engine =
          kit.open(stores, { batch_events = 2, live_events = 2 })
        kit.register(engine, script {})
        kit.append(engine, {
          { n = 1, ids = "a" }, { n = 2, ids = "a" }, { n = 3, ids = "a" },
        })
        assert.equal(2, engine:step "tally")
        local ok, _, why = engine:step "tally"
        assert.is_nil(ok)
        assert.equal(code, why)
        assert.same({ n = 2, count = 2 }, kit.models(engine, "tally").a)
        assert.equal("2", engine:checkpoint("tally").position)
        assert.equal(1, engine:step "tally")
        assert.same({ n = 3, count = 3 }, kit.models(engine, "tally").a)
      end
    end)
  end)
end

describe("a projection that begins again", function()
  after_each(kit.close_all)

  local stores, engine

  before_each(function()
    stores = kit.stores "sqlite"
    engine = kit.open(stores)
    kit.register(engine, script {})
    kit.append(engine, { { n = 1, ids = "a" }, { n = 2, ids = "a" } })
    assert(engine:run_once())
    engine:close()
    engine = kit.open(stores)
  end)

  local function assert_refused(message)
    local ok, why, code = engine:run_once()
    assert.is_nil(ok)
    assert.equal("config", code)
    assert.matches(message, why)
    assert.equal("failed", kit.status(engine, "tally").state)
    assert.equal(2, engine:get("tally", "a").count)
  end

  it("goes on where it was", function()
    kit.register(engine, script {})
    kit.append(engine, { { n = 3, ids = "a" } })
    assert(engine:run_once())
    assert.equal(3, engine:get("tally", "a").count)
  end)

  it("asks for a rebuild if its version was raised meanwhile", function()
    local raised = script {
      version = 2,
      fields = 'n = "integer", count = "number"',
    }
    kit.register(engine, raised)
    assert_refused "lunette rebuild tally"
    assert.is_true(engine:rebuild "tally")
    assert(engine:run_once())
    assert.equal("float", math.type(engine:get("tally", "a").count))
    assert.equal(2, kit.status(engine, "tally").version)
  end)

  it("is rebuilt by the engine that runs too #threads", function()
    kit.register(engine, script { version = 2 })
    assert(engine:start())
    kit.wait_state(engine, "tally", "failed")
    assert.is_true(engine:rebuild "tally")
    assert(engine:wait { projection = "tally" })
    assert.equal(2, engine:get("tally", "a").count)
    assert.equal(2, kit.status(engine, "tally").version)
  end)

  it("asks for a higher version if its fields have changed", function()
    kit.register(engine, script { fields = 'n = "integer", count = "number"' })
    assert_refused "raise the version"
    kit.register(engine, script {})
    assert(engine:run_once())
  end)

  it("asks for a higher version if it handles other events", function()
    kit.register(engine, script { more = 'handles = { "Noted" },' })
    assert_refused "raise the version"
  end)

  it("refuses another event store, and is rebuilt from it", function()
    engine:close()
    stores.events = "sqlite:" .. helper.tmpdir() .. "/events.db"
    engine = kit.open(stores)
    kit.append(engine, { { n = 7, ids = "a" } })
    kit.register(engine, script {})
    local ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches("built from event store", message)
    assert.matches("lunette rebuild tally", message)
    assert.equal(2, engine:get("tally", "a").count)
    assert.is_true(engine:rebuild "tally")
    assert(engine:run_once())
    assert.same({ n = 7, count = 1 }, kit.models(engine, "tally").a)
  end)

  it("goes on once a mistaken edit is taken back #threads", function()
    local folder = helper.tmpdir()
    local path = helper.write_file(folder .. "/tally.lua",
      script { fields = 'n = "integer", count = "number"' })
    assert(engine:register(path))
    assert(engine:watch())
    assert(engine:start())
    kit.wait_state(engine, "tally", "failed")
    helper.write_file(path, script {})
    kit.wait_state(engine, "tally", "live")
    kit.append(engine, { { n = 3, ids = "a" } })
    assert(engine:wait { projection = "tally" })
    assert.equal(3, engine:get("tally", "a").count)
  end)
end)
