-- The rock as a stranger gets it: built and installed by LuaRocks without a
-- network, used by a plain interpreter that knows nothing of this checkout.

local helper = require "spec.helper"

local script = [[
local lunette = require "lunette"
local testing = require "lunette.testing"

local source = [=[return {
  name = "greeted",
  version = 1,
  fields = { times = "integer" },
  extract_model_id = function(event) return event.data.who end,
  apply_to_model = function(model)
    return { times = (model and model.times or 0) + 1 }
  end,
}]=]

local engine <close> = assert(lunette.open {
  events = "sqlite:" .. arg[1] .. "/events.db",
  models = "sqlite:" .. arg[1] .. "/models.db",
})
assert(engine:register { source = source })
assert(engine:start())
local position = assert(engine:append {
  { stream = "s", type = "Greeted", data = { who = "world" } },
  { stream = "s", type = "Greeted", data = { who = "world" } },
})
assert(engine:wait { projection = "greeted", after = position })
print(engine:get("greeted", "world").times)

local rows = assert(engine:query("greeted",
  lunette.query("greeted"):filter("times", "gte", 1)))
print(#rows, rows[1].id)

local models = testing.replay({ source = source }, {
  { type = "Greeted", data = { who = "spec" } },
})
print(models.spec.times)
]]

describe("the rock", function()
  local missing = helper.missing "luarocks"
  if missing then
    pending(missing)
    return
  end
  if os.getenv "LUNETTE_SANITIZE" then
    pending "is built by LuaRocks without sanitizers; see the plain run"
    return
  end

  local tree, copy

  -- LuaRocks builds where the sources are, so it gets its own copy.
  setup(function()
    tree = helper.tmpdir() .. "/tree"
    copy = helper.tmpdir() .. "/sources"
    helper.mkdir(copy)
    local code, _, err = helper.run(
      "cp -R Makefile *.rockspec LICENSE README.md engine stores lua "
        .. copy, { cwd = helper.root })
    assert.equal(0, code, err)
    code, _, err = helper.run({
      "luarocks", "--lua-version", "5.4", "make", "--tree", tree,
      "--deps-mode", "none",
    }, {
      cwd = copy,
      env = { http_proxy = "http://127.0.0.1:9",
        https_proxy = "http://127.0.0.1:9" },
      timeout = 300,
    })
    assert.equal(0, code, err)
  end)

  it("works in a plain interpreter", function()
    local folder = helper.tmpdir()
    local path = helper.write_file(folder .. "/script.lua", script)
    local code, out, err = helper.run({ "lua5.4", path, folder }, {
      cwd = folder,
      env = {
        LUA_PATH = tree .. "/share/lua/5.4/?.lua;"
          .. tree .. "/share/lua/5.4/?/init.lua",
        LUA_CPATH = tree .. "/lib/lua/5.4/?.so",
      },
    })
    assert.equal(0, code, err)
    assert.equal("2\n1\tworld\n1\n", out)
  end)

  it("does not bring a second Lua into the process", function()
    local code, out = helper.run {
      "ldd", tree .. "/lib/lua/5.4/lunette/core.so",
    }
    assert.equal(0, code)
    assert.is_nil(out:find "liblua")
  end)

  it("stays loaded when its state is closed", function()
    local code, out = helper.run("readelf -d '" .. tree
      .. "/lib/lua/5.4/lunette/core.so'")
    assert.equal(0, code)
    assert.matches("NODELETE", out)
  end)
end)
