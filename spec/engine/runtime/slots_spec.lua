-- Who may fetch and commit beside applying, and who comes next.

local helper = require "spec.helper"
local slots_test = require "slots_test"

describe("a slot", function()
  local slots, one, other, third

  before_each(function()
    slots = slots_test.new(1)
    one, other, third = slots_test.slot(), slots_test.slot(), slots_test.slot()
  end)

  it("is held at once where one is free", function()
    assert.is_true(slots:take(one))
    assert.is_true(slots:take(one))
    assert.is_false(slots:take(other))
  end)

  it("goes to who waits, in the order in which they came", function()
    slots:take(one)
    slots:take(other)
    slots:take(third)
    slots:leave(one)
    assert.is_true(slots:holds(other))
    slots:leave(other)
    assert.is_true(slots:holds(third))
  end)

  it("goes to nobody who has left the line", function()
    slots:take(one)
    slots:take(other)
    slots:take(third)
    slots:leave(other)
    slots:leave(one)
    assert.is_true(slots:holds(third))
    assert.is_false(slots:holds(other))
  end)

  it("goes to who has had none before who has", function()
    slots:take(one)
    slots:take(other)
    slots:leave(one)
    slots:take(one)
    slots:take(third)
    slots:leave(other)
    assert.is_true(slots:holds(third))
    slots:leave(third)
    assert.is_true(slots:holds(one))
  end)

  it("comes to everybody, however often others come back", function()
    slots:take(one)
    slots:take(other)
    slots:leave(one)
    slots:take(one)
    slots:take(third)
    helper.wait(function()
      for _, slot in ipairs { other, third } do
        if slots:holds(slot) then
          slots:leave(slot)
          slots:take(slot)
        end
      end
      return slots:holds(one)
    end)
  end)
end)
