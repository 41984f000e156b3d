local helper = require "spec.helper"

local function lines(command)
  local code, out, err = helper.run(command)
  assert.equal(0, code, err)
  local list = {}
  for line in out:gmatch "[^\n]+" do
    list[#list + 1] = line
  end
  table.sort(list)
  return list
end

local function symbols(path)
  return lines("nm -D --defined-only " .. helper.build .. path
    .. " | sed -n 's/.* T //p'")
end

local function needed(path)
  return table.concat(lines("objdump -p " .. helper.build .. path
    .. " | sed -n 's/ *NEEDED *//p'"), " ")
end

describe("liblunette.so", function()
  it("shows the functions of lunette.h and nothing else", function()
    local declared = {}
    local text = helper.read_file(helper.root .. "/engine/lunette.h")
    text = text:gsub("/%*.-%*/", ""):gsub("typedef[^;]*;", "")
    for name in text:gmatch "%f[%w_](lun_[%w_]+)%s*%(" do
      declared[#declared + 1] = name
    end
    table.sort(declared)
    assert.same(declared, symbols "/liblunette.so.1")
  end)

  it("has a name that says its interface", function()
    assert.same({ "liblunette.so.1" }, lines("objdump -p " .. helper.build
      .. "/liblunette.so | sed -n 's/ *SONAME *//p'"))
  end)
end)

describe("what is installed", function()
  local places = { "/liblunette.a", "/liblunette.so.1", "/lua/lunette/core.so",
    "/lunette" }

  it("does not hold the stores that fail on purpose", function()
    for _, path in ipairs(places) do
      assert.same({}, lines("strings -a " .. helper.build .. path
        .. " | grep -i faulty || true"), path)
    end
    assert.not_same({}, lines("strings -a " .. helper.faulty_lunette
      .. " | grep -i faulty"))
  end)

  it("does not open them either", function()
    local url = "faulty+memory:?fail=any:1"
    local code, _, err = helper.run { helper.lunette, "events", "-e", url }
    assert.equal(1, code)
    assert.matches("no such kind of store", err, 1, true)
    local opened, out = helper.run({ "lua5.4", "-e", [[
      local lunette = require "lunette"
      print(select(2, lunette.open { events = arg[1], models = "memory:" }))
      local engine = assert(lunette.open { events = "memory:",
        models = "memory:" })
      engine:close()]], "-", url }, { env = {
        LUA_PATH = package.path, LUA_CPATH = helper.build .. "/lua/?.so",
      } })
    assert.equal(0, opened)
    assert.matches("no such kind of store", out, 1, true)
  end)
end)

describe("the Lua module", function()
  it("shows its opening function and nothing else", function()
    assert.same({ "luaopen_lunette_core" }, symbols "/lua/lunette/core.so")
  end)

  it("leaves liblua to the interpreter", function()
    assert.not_matches("liblua", needed "/lua/lunette/core.so")
  end)

  it("stays loaded when a state is closed", function()
    local flags = lines("objdump -p " .. helper.build
      .. "/lua/lunette/core.so | grep FLAGS_1")[1]
    assert.equal(8, tonumber(flags:match "0x%x+") & 8) -- DF_1_NODELETE
  end)
end)

describe("the rockspec", function()
  it("lists the Lua modules that are in the tree", function()
    local rockspec = {}
    local path = helper.root .. "/lunette-scm-1.rockspec"
    assert(loadfile(path, "t", rockspec))()
    local listed = {}
    for name, file in pairs(rockspec.build.install.lua) do
      listed[#listed + 1] = file
      assert.equal(name, (file:gsub("^lua/", ""):gsub("/init%.lua$", "")
        :gsub("%.lua$", ""):gsub("/", ".")))
    end
    table.sort(listed)
    assert.same(lines("cd " .. helper.root .. " && find lua -name '*.lua'"),
      listed)
  end)
end)
