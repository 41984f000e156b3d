local helper = require "spec.helper"

describe("tools/demo", function()
  local root, place = helper.root, nil

  -- In a copy of the tree, as it begins by removing the folder demo.
  setup(function()
    place = helper.tmpdir()
    assert(os.execute(("cd %s && mkdir tools && cp %s/tools/demo tools"
      .. " && ln -s %s build && ln -s %s/projections projections")
      :format(place, root, helper.build, root)))
  end)

  it("shows accounts, and what it says to type next works", function()
    local code, out, err = helper.run({ place .. "/tools/demo" },
      { env = { DEMO_EVENTS = "500" } })
    assert.equal(0, code, err)
    assert.matches("account_summary: 500 events", err, 1, true)
    assert.matches("\nacc%-%d+ +%d+ ", out)

    local next_steps = assert(out:match "What to type next:\n(.*)$")
    next_steps = next_steps:gsub("[^\n]*alias[^\n]*\n", "")
      :gsub("%f[%w]l run &[^\n]*\n", "")
      :gsub("%f[%w]l (%l)", "build/lunette -c demo/lunette.lua %1")
    local answer
    code, answer, err = helper.run { "sh", "-c",
      ("cd %s && set -e\n%s"):format(place, next_steps) }
    assert.equal(0, code, err)
    assert.matches("account_summary", answer, 1, true)
  end)
end)
