-- Ways in which another script comes to be under a path, beside an edit.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local source = [[
return {
  name = "%s",
  version = 1,
  fields = { total = "integer" },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(model, event)
    return { total = (model and model.total or 0) + %d }
  end,
}
]]

local function sh(...)
  assert.equal(0, (helper.run { "sh", "-c", ... }))
end

describe("what is under the path of a script #threads", function()
  local place, engine, scripts

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_HEARTBEAT_MS = "50"
    scripts = place:path "projections"
    place:count("a", 1)
  end)

  after_each(function()
    if engine then
      engine:kill "TERM"
      assert.equal(0, engine:wait())
      engine = nil
    end
  end)

  local function script(name, step)
    place:write("projections/" .. name .. ".lua",
      source:format("counter", step))
  end

  local function total()
    local code, out = place:run { "get", "--json", "counter", "a" }
    return code == 0 and tonumber(out:match '"total":(%d+)') or 0
  end

  -- Until the script that adds this much runs.
  local function wait_step(step)
    local before = total()
    helper.wait(function()
      place:count("a", 1)
      local now = total()
      local taken = now - before >= step
      before = now
      return taken
    end)
  end

  local function says(pattern)
    return helper.wait(function()
      return engine:stderr():find(pattern)
    end)
  end

  it("is followed through links, as a ConfigMap swaps them", function()
    for version, step in pairs { ["..v1"] = 1, ["..v2"] = 1000 } do
      helper.mkdir(scripts .. "/" .. version)
      place:write("projections/" .. version .. "/counter.lua",
        source:format("counter", step))
    end
    sh("cd " .. scripts .. " && ln -s ..v1 ..data && "
      .. "ln -s ..data/counter.lua counter.lua")
    engine = place:start "counter"
    sh("cd " .. scripts .. " && ln -s ..v2 ..new && mv -T ..new ..data")
    wait_step(1000)
  end)

  it("is followed where it was named alone, and where it is linked", function()
    script("one", 1)
    script("two", 1000)
    sh("cd " .. scripts .. " && ln -s projections/one.lua ../current.lua")
    engine = place:start("counter", { "-p", "current.lua" })
    sh("cd " .. scripts .. " && ln -sfn projections/two.lua ../current.lua")
    wait_step(1000)
  end)

  it("is seen when its folder is replaced, and edits there too", function()
    script("counter", 1)
    engine = place:start "counter"
    helper.mkdir(place:path "next")
    place:write("next/counter.lua", source:format("counter", 1000))
    sh("cd " .. place.folder .. " && mv projections old && mv next projections")
    wait_step(1000)
    script("counter", 1000000)
    wait_step(1000000)
  end)

  it("is seen when its folder comes back", function()
    script("counter", 1)
    engine = place:start "counter"
    sh("mv " .. scripts .. " " .. place:path "away")
    says "projections: the folder is gone, and its scripts with it"
    helper.wait(function()
      return place:done({ "status", "--json" }):find '"state":"detached"'
    end)
    sh("mv " .. place:path "away" .. " " .. scripts)
    wait_step(1)
  end)

  it("is named where its folder cannot be read any more, once", function()
    script("counter", 1)
    engine = place:start "counter"
    sh("cd " .. place.folder .. " && mv projections away && touch projections")
    says "projections: reading the folder: Not a directory; new scripts"
    sh("cd " .. place.folder .. " && rm projections && mv away projections")
    wait_step(1)
    local _, said = engine:stderr():gsub("reading the folder", "")
    assert.equal(1, said)
  end)

  it("runs where it was refused, once the name is free", function()
    script("counter", 1)
    engine = place:start "counter"
    script("copy", 1000)
    says "copy.lua: the name counter is taken by projections/counter.lua"
    assert(os.remove(scripts .. "/counter.lua"))
    wait_step(1000)
  end)

  it("is not taken anew when it was only touched", function()
    script("counter", 1)
    engine = place:start "counter"
    sh("touch -d 2001-01-01 " .. scripts .. "/counter.lua")
    sh("cd " .. scripts .. " && cp counter.lua x && mv x counter.lua")
    script("counter", 1000)
    wait_step(1000)
    local _, reloads = engine:stderr():gsub("script reloaded", "")
    assert.equal(1, reloads)
  end)

  it("goes on as it was while half of it is written", function()
    script("counter", 1)
    engine = place:start "counter"
    local text = source:format("counter", 1000)
    local file = assert(io.open(scripts .. "/counter.lua", "w"))
    file:write(text:sub(1, 80))
    file:flush()
    says "counter.lua:%d+: .*the old script goes on"
    wait_step(1)
    file:write(text:sub(81))
    file:close()
    wait_step(1000)
  end)

  it("is looked at where the system has no more to watch with", function()
    local unshare = { "unshare", "-Ur", "sh", "-c",
      "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"", "sh" }
    local words = table.move(unshare, 1, #unshare, 1, {})
    words[#words + 1] = "true"
    if helper.missing "unshare" or helper.run(words) ~= 0 then
      pending "needs user namespaces"
      return
    end
    script("counter", 1)
    words[#words] = helper.lunette
    words[#words + 1] = "run"
    engine = helper.spawn(words, { cwd = place.folder, env = place.env })
    says "watching scripts: .*: changed scripts are noticed within two seconds"
    says "counter: live"
    script("counter", 1000)
    wait_step(1000)
    local _, said = engine:stderr():gsub("within two seconds", "")
    assert.equal(1, said)
  end)
end)
