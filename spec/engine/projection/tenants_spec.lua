-- Streams of two tenants may have one name, and a script has to know of them.

local kit = require "spec.engine.engine_kit"

local refusal = 'globex", events of another one were read before, and '
  .. "extract_model_id does not look at event.tenant: make it a part of the "
  .. "id, or .* tenant=NAME .* look at event.tenant and leave it"

describe("a projection of tenants", function()
  local engine

  before_each(function()
    engine = kit.open { events = "memory:", models = "memory:" }
  end)

  after_each(kit.close_all)

  local function register(id, more)
    kit.register(engine, ([[return {
      name = "counter", version = 1, %s
      fields = { n = "integer", tenant = "text" },
      extract_model_id = function(event) %s end,
      apply_to_model = function(model, event)
        if event.data.fail then error "refused" end
        return { n = (model and model.n or 0) + 1, tenant = event.tenant }
      end,
    }]]):format(more or "", id))
  end

  local function append(...)
    for _, tenant in ipairs { ... } do
      assert(engine:append {
        tenant = tenant, stream = "a", type = "Counted", data = {},
      })
    end
  end

  local function counts()
    local found = {}
    for id, model in pairs(kit.models(engine, "counter")) do
      found[id] = model.n
    end
    return found
  end

  it("stops at the second one, with what is to be done", function()
    register "return event.stream"
    append("acme", "acme", "globex", "acme")
    local ok, message, code = engine:run_once()
    assert.is_nil(ok)
    assert.equal("config", code)
    assert.matches("^counter: event 3 %(Counted on a%): is of the tenant \""
      .. refusal, message)
    assert.same({ a = 2 }, counts())
    local status = kit.status(engine, "counter")
    assert.equal("failed", status.state)
    assert.equal("2", status.position)
  end)

  for _, policy in ipairs { "skip", "park" } do
    it("stops whatever on_error says: " .. policy, function()
      register("return event.stream", ('on_error = "%s", retries = 3,')
        :format(policy))
      append("acme", "globex")
      local ok, _, code = engine:run_once()
      assert.is_nil(ok)
      assert.equal("config", code)
      assert.same({ a = 1 }, counts())
    end)
  end

  it("remembers the first one", function()
    register "return event.stream"
    append "acme"
    assert(engine:run_once())
    append "globex"
    local ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches(refusal, message)
    assert(engine:set_checkpoint("counter", "1"))
    ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches(refusal, message)
  end)

  it("goes on with an id that has the tenant in it", function()
    register "return event.stream"
    append("acme", "globex", "acme")
    assert.is_nil(engine:run_once())
    register "return event.tenant .. '/' .. event.stream"
    assert(engine:run_once())
    assert.same({ a = 1, ["globex/a"] = 1, ["acme/a"] = 1 }, counts())
  end)

  it("goes on where the script has looked and leaves it", function()
    register "local _ = event.tenant return event.stream"
    append("acme", "globex")
    assert(engine:run_once())
    assert.same({ a = 2 }, counts())
  end)

  it("stops again with a script that looks no more", function()
    register "return event.tenant .. event.stream"
    append("acme", "globex")
    assert(engine:run_once())
    register "return event.stream"
    append "acme"
    local ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches('is of the tenant "acme", events of another', message)
  end)

  it("does not mind events that concern no model", function()
    register [[if event.type == "Counted" then return event.stream end]]
    append "acme"
    assert(engine:append {
      tenant = "globex", stream = "a", type = "Other", data = {},
    })
    assert(engine:run_once())
    assert.same({ a = 1 }, counts())
  end)

  it("does not mind one tenant, nor none", function()
    register "return event.stream"
    append("acme", "acme")
    assert(engine:run_once())
    assert.same({ a = 2 }, counts())
  end)

  it("keeps the tenant of an event that was parked", function()
    register("return event.stream", 'on_error = "park",')
    assert(engine:append {
      tenant = "acme", stream = "a", type = "Counted",
      data = { fail = true },
    })
    assert(engine:run_once())
    local parked = assert(engine:parked "counter")
    assert.equal("acme", parked[1].tenant)
    assert.equal("acme", assert(engine:events())[1].tenant)
    kit.register(engine, [[return {
      name = "counter", version = 1, on_error = "park",
      fields = { n = "integer", tenant = "text" },
      extract_model_id = function(event) return event.stream end,
      apply_to_model = function(_, event) return { tenant = event.tenant } end,
    }]])
    assert(engine:retry "counter")
    assert.equal("acme", engine:get("counter", "a").tenant)
  end)
end)
