-- The last versions of streams, in memory.

local versions = require "versions_test"

describe("the table of versions", function()
  it("knows each stream from the others, however many there are", function()
    for _, count in ipairs { 0, 3, 999, 30000 } do
      local known, others, left, full = versions.fill(count)
      assert.equal(count, known)
      assert.equal(0, others)
      assert.equal(0, left)
      assert.is_false(full)
    end
  end)

  it("raises a version, or leaves a higher one", function()
    assert.equal(3, versions.raise(nil, 3))
    assert.equal(4, versions.raise(3, 4))
    assert.equal(4, versions.raise(4, 3))
    assert.equal(-2, versions.raise(-3, -2))
    assert.equal(-2, versions.raise(-2, -3))
  end)

  it("says when it holds as many as it should", function()
    local known, _, _, full = versions.fill((1 << 20) + 2)
    assert.equal((1 << 20) + 2, known)
    assert.is_true(full)
  end)
end)
