-- The engine from C, where the Lua module does not reach.

local helper = require "spec.helper"
local engine_test = require "engine_test"

local script = [[
return {
  name = "count",
  version = 1,
  fields = { n = "integer" },
  extract_model_id = function() return "all" end,
  apply_to_model = function(model)
    return { n = (model and model.n or 0) + 1 }
  end,
}
]]

describe("an engine in a program with threads #threads", function()
  local folder, url, engine, holder, appending

  before_each(function()
    folder = helper.tmpdir()
    url = "sqlite:" .. folder .. "/bank.db"
    engine = assert(engine_test.open(url, url))
    assert(engine:register(script))
  end)

  after_each(function()
    os.remove(folder .. "/held")
    if holder then
      holder:wait()
      holder = nil
    end
    if appending then
      appending:join()
      appending = nil
    end
    engine:close()
  end)

  -- Another process takes the write lock and keeps it.
  local function hold()
    holder = helper.spawn({ "sqlite3", folder .. "/bank.db" }, {
      stdin = ".timeout 10000\nBEGIN IMMEDIATE;\n"
        .. (".shell touch %s; while [ -e %s ]; do sleep 0.02; done\n")
          :format(folder .. "/held", folder .. "/held")
        .. "COMMIT;\n",
    })
    helper.wait(function()
      return io.open(folder .. "/held")
    end):close()
  end

  describe("in its progress function", function()
    before_each(function()
      assert(engine:register((script:gsub("return { n", [[
        for _ = 1, 2000000 do end
        return { n]]))))
      for _ = 1, 50 do
        assert(engine:append_beside():join())
      end
    end)

    it("stops when the batches under way are done", function()
      assert.same({ "timeout", "ok" }, { engine:run_once "stop" })
      assert.matches('"state":"stopped"', assert(engine:status()))
      assert.same({ "ok", "config" }, { engine:run_once "start" })
      assert.equal('{"id":"all","n":50}', engine:get("count", "all"))
    end)

    it("stays open when it is closed there, but stops", function()
      assert.equal("timeout", (engine:run_once "close"))
      assert.equal("ok", (engine:run_once "start"))
      assert.equal('{"id":"all","n":50}', engine:get("count", "all"))
    end)
  end)

  -- Scripts that another thread is registering.
  local function register_beside(registered, first, last)
    local sources = {}
    for i = first, last do
      sources[#sources + 1] = script:gsub('"count"', '"count_' .. i .. '"')
    end
    return registered:register_beside(sources)
  end

  it("refuses a request of a kind that there is not", function()
    local idle = assert(engine_test.open("memory:", "memory:"))
    assert(idle:register(script))
    assert(idle:request("count", 0))
    for _, kind in ipairs { -1, 8, 1000000 } do
      local ok, message, code = idle:request("count", kind)
      assert.is_nil(ok)
      assert.equal("count: there is no request of kind " .. kind, message)
      assert.equal("invalid", code)
    end
    idle:close()
  end)

  it("starts and stops while another thread registers", function()
    for _ = 1, 30 do
      local busy = assert(engine_test.open("memory:", "memory:"))
      local registering = register_beside(busy, 1, 12)
      repeat
        assert(busy:start_and_stop())
      until registering:is_done()
      assert(registering:join())
      busy:close()
    end
  end)

  it("runs once while another thread registers", function()
    local busy = assert(engine_test.open("memory:", "memory:"))
    assert(busy:register(script))
    assert(busy:append_beside():join())
    for i = 1, 20 do
      local registering = register_beside(busy, i, i + 3)
      repeat
        assert.equal("ok", (busy:run_once "start"))
      until registering:is_done()
      assert(registering:join())
    end
    busy:close()
  end)

  it("answers while an append waits for a locked file", function()
    assert(engine:append_beside():join())
    hold()
    appending = engine:append_beside()
    for _ = 1, 20 do
      local _, _, code = engine:get("count", "all")
      assert.equal("not_found", code)
      assert.equal("[]", engine:query "count")
      assert.matches('"name":"count","state":"new"', assert(engine:status()))
    end
    assert.is_false(appending:is_done())
    os.remove(folder .. "/held")
    assert.is_true(appending:join())
  end)
end)
