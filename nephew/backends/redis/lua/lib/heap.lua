--! uses tickets
-- The heads of several queues as a heap: the first ticket of all is that of `heap[1]`.

local function is_before(one, other)
    return one.score < other.score or (one.score == other.score and one.place < other.place)
end

-- Let the head at `i` sink to where it belongs.
local function sink(heap, i)
    local head, size = heap[i], #heap
    while 2 * i <= size do
        local child = 2 * i
        if child < size and is_before(heap[child + 1], heap[child]) then
            child = child + 1
        end
        if not is_before(heap[child], head) then
            break
        end
        heap[i], i = heap[child], child
    end
    heap[i] = head
end

-- Let a head be the next ticket of its queue; its ticket is nil when there is none.
local function advance(head)
    head.at = head.at + 2
    if head.at > #head.list and not head.is_read then
        local more = redis.call('ZRANGE', head.line, head.count, head.count + head.step - 1, 'WITHSCORES')
        head.at, head.list, head.count, head.is_read = 1, more, head.count + #more / 2, #more < 2 * head.step
    end
    head.ticket, head.score = head.list[head.at], tonumber(head.list[head.at + 1])
    head.place = head.ticket and place_on(head.ticket)
end

-- The heads of queues, of each of which so many tickets are read at a time; `all`: those too that have none. A queue
-- whose key is of the wrong type is left out.
local function heap_of(queues, step)
    local heap, all = {}, {}
    for _, queue in ipairs(queues) do
        local line = key('q', queue)
        if try('ZCARD', line) then
            local head = {queue = queue, line = line, step = step, at = 1, list = {}, count = 0, taken = 0}
            advance(head)
            all[#all + 1] = head
            if head.ticket then
                heap[#heap + 1] = head
            end
        end
    end
    for i = math.floor(#heap / 2), 1, -1 do
        sink(heap, i)
    end
    heap.all = all
    return heap
end

-- The first ticket of all was taken.
local function follow(heap)
    advance(heap[1])
    if not heap[1].ticket then
        heap[1] = heap[#heap]
        heap[#heap] = nil
    end
    if #heap > 0 then
        sink(heap, 1)
    end
end
